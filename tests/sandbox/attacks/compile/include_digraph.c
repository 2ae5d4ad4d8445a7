/*
 * attack: The same, spelled past a filter that looks for the sharp sign.
 * expect: compile_error stderr~"No such file"
 */
%:include "@CANARY@/secret"
int main(void) <% return 0; %>
