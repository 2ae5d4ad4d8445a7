/*
 * attack: The same, from the compiler's own folders upwards.
 * expect: compile_error stderr~"No such file"
 */
#include <../../../../../../..@CANARY@/secret>
int main(void) { return 0; }
