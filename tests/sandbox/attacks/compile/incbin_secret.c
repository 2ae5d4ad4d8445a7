/*
 * attack: The assembler's way to take a file in.
 * expect: compile_error stderr~"not found|No such file"
 */
__asm__(".incbin \"@CANARY@/secret\"");
int main(void) { return 0; }
