/*
 * attack: A program of two gigabytes, almost all of it zero.
 * language: c-hasty
 * expect: compile_error
 */
char block[2000000000] = { 1 };
int main(void) { return block[0] == 1 ? 0 : 1; }
