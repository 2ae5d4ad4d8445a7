/*
 * attack: An endless stream of warnings, from pragmas and from the assembler.
 * language: c-hasty
 * expect: compile_error stderr<=4194304
 * expect: accepted
 */
__asm__(".rept 3000000\n.warning \"complaint\"\n.endr");
int main(void) { return 0; }
