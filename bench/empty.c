/* empty: a C program that does nothing, linked statically with libc. */
int main(void)
{
    return 0;
}
