// Dereferences a null pointer: SIGSEGV ends it.
#include <cstdio>

int main()
{
    int *volatile nowhere = nullptr;
    std::printf("%d\n", *nowhere);
}
