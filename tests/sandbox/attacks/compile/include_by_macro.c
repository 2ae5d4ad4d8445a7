/*
 * attack: The same, put together by macros.
 * expect: compile_error stderr~"No such file"
 */
#define TEXT(x) #x
#define PATH(x) TEXT(x)
#include PATH(@CANARY@/secret)
int main(void) { return 0; }
