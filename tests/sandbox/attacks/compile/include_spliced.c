/*
 * attack: The same, over several lines and comments.
 * expect: compile_error stderr~"No such file"
 */
#/* so */inc\
lude/* what */ "@CANARY@\
/secret"
int main(void) { return 0; }
