// attack: Half a gigabyte of static memory, touched page by page.
// limits: {"memory_bytes": 67108864}
// expect: memory_limit memory<=67108864
#include <cstddef>

static char block[512u << 20];

int main()
{
    for (std::size_t i = 0; i < sizeof block; i += 4096)
        *const_cast<volatile char *>(&block[i]) = 1;
}
