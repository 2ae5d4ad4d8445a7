/*
 * attack: Includes a device of endless NUL bytes.
 * language: c-hasty
 * expect: compile_error
 */
#include </dev/zero>
int main(void) { return 0; }
