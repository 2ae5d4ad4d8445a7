# attack: A macro that calls itself for ever.
# language: c-hasty
# expect: compile_error
    .macro again n
    .quad \n
    again "(\n+1)"
    again "(\n+2)"
    .endm
    .altmacro
    .text
    .globl main
main:
    .rept 100000000
    nop
    .endr
    again 0
    ret
