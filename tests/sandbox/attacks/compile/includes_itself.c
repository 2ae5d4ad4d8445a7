/*
 * attack: Includes itself twice each time.
 * language: c-hasty
 * expect: compile_error
 */
#include __FILE__
#include __FILE__
int main(void) { return 0; }
