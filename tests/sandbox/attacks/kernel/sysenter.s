# attack: The 32-bit gate of other processors, and a far jump into 32-bit code that calls from there.
# needs: x86_64
# expect: runtime_error signal=SIGSYS|SIGSEGV|SIGILL|SIGBUS|SIGTRAP stdout=""
    .text
    .globl main
main:
    mov $9, %eax
    mov $0x10000000, %edi
    mov $4096, %esi
    mov $7, %edx
    mov $0x32, %r10d
    mov $-1, %r8
    xor %r9d, %r9d
    syscall
    movl $0x000014b8, (%rax)
    movl $0x80cd00, 4(%rax)
    movl $0xf4f4f4f4, 7(%rax)
    mov $0x10000800, %esp
    push $0x23
    push $0x10000000
    lretq
    .section .note.GNU-stack, "", @progbits
