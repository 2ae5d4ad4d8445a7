/*
 * attack: Includes the list of users, so that the compiler's complaints show it; it is the box's own, not the host's.
 * expect: compile_error stderr!~"evalx|postgres|sshd|/home/"
 */
#include "/etc/passwd"
int main(void) { return 0; }
