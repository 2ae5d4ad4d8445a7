/*
 * attack: Takes an endless device into the program.
 * language: c-hasty
 * expect: compile_error
 */
__asm__(".incbin \"/dev/zero\"");
int main(void) { return 0; }
