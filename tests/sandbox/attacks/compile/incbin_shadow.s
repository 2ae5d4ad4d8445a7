# attack: The same from assembly, by a path that climbs, with the shadow file.
# expect: compile_error stderr~"not found|No such file"
    .data
stolen:
    .incbin "../../../../../../../etc/shadow"
    .text
    .globl main
main:
    ret
