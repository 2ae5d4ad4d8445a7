/*
 * attack: Includes the host's secrets by every path.
 * expect: compile_error stderr~"No such file"
 */
#include "/etc/shadow"
int main(void) { return 0; }
