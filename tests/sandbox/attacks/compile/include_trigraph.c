/*
 * attack: The same, in letters of the sixties.
 * expect: compile_error stderr~"trigraph|No such file"
 */
??=include "@CANARY@/secret"
int main(void) ??< return 0; ??>
