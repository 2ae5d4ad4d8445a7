/*
 * attack: A section the linker interprets: a library path, an init function before main, an interpreter of its own.
 * expect: accepted|runtime_error stdout=""
 */
const char interpreter[] __attribute__((section(".interp"))) = "@CANARY@/open/runnable";

int main(void)
{
    return 0;
}
