# attack: mount by the 32-bit interface, from assembly, with its strings below four gigabytes where that gate can see them.
# needs: x86_64
# expect: runtime_error signal=SIGSYS stdout=""
# expect: runtime_error signal=SIGSEGV stdout=""
    .text
    .globl main
main:
    mov $9, %eax
    mov $0x10000000, %edi
    mov $4096, %esi
    mov $3, %edx
    mov $0x32, %r10d
    mov $-1, %r8
    xor %r9d, %r9d
    syscall
    movl $0x706d742f, (%rax)
    movl $0, 4(%rax)
    mov $21, %eax
    mov $0x10000000, %ebx
    mov $0x10000000, %ecx
    mov $0x10000000, %edx
    mov $0x1000, %esi
    xor %edi, %edi
    int $0x80
    mov $1, %eax
    mov $1, %edi
    lea escaped(%rip), %rsi
    mov $8, %edx
    syscall
    xor %eax, %eax
    ret
    .section .rodata
escaped:
    .ascii "ESCAPED\n"
    .section .note.GNU-stack, "", @progbits
