# attack: The assembler fills the disk: gigabytes by one line, then a loop of macros.
# language: c-hasty
# expect: compile_error
    .data
    .fill 1000000000, 8, 1
    .text
    .globl main
main:
    ret
