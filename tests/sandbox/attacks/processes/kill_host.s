# attack: The same from assembly by raw system calls: kill, tkill, tgkill and rt_sigqueueinfo on the worker and launcher.
# needs: x86_64
# expect: accepted stdout="refused\n"
    .section .rodata
refused:
    .ascii "refused\n"
escaped:
    .ascii "ESCAPED\n"
    .data
info:
    .zero 128
    .text
    .globl main
main:
    xor %ebx, %ebx
    lea ids(%rip), %r12
next:
    mov (%r12), %r13d
    test %r13d, %r13d
    jz report
    mov $62, %eax
    mov %r13d, %edi
    mov $9, %esi
    syscall
    test %rax, %rax
    jz won
    mov $200, %eax
    mov %r13d, %edi
    mov $9, %esi
    syscall
    test %rax, %rax
    jz won
    mov $234, %eax
    mov %r13d, %edi
    mov %r13d, %esi
    mov $9, %edx
    syscall
    test %rax, %rax
    jz won
    mov $129, %eax
    mov %r13d, %edi
    mov $9, %esi
    lea info(%rip), %rdx
    syscall
    test %rax, %rax
    jz won
    add $4, %r12
    jmp next
won:
    mov $1, %ebx
report:
    lea refused(%rip), %rsi
    test %ebx, %ebx
    jz say
    lea escaped(%rip), %rsi
say:
    mov $1, %eax
    mov $1, %edi
    mov $8, %edx
    syscall
    mov $231, %eax
    xor %edi, %edi
    syscall
    .section .rodata
    .balign 4
ids:
    .long @WORKER_PID@, @LAUNCHER_PID@, 0
    .section .note.GNU-stack, "", @progbits
