/*
 * attack: Includes a device that never ends.
 * language: c-hasty
 * expect: compile_error
 */
#include </dev/random>
int main(void) { return 0; }
