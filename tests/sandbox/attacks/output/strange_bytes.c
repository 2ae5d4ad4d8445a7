/*
 * attack: NUL, half characters, surrogates and overlong forms; the answer is still valid JSON and says what was replaced.
 * expect: accepted stdout~"^a\\x00b.*c\\n$" replaced
 */
#include <unistd.h>

int main(void)
{
    static const char bytes[] = "a\0b\xff\xfe\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80\xe2\x82" "c\n";
    return write(1, bytes, sizeof bytes - 1) < 0;
}
