// attack: Catches the failure to allocate and tries again for ever.
// limits: {"memory_bytes": 67108864, "cpu_time_ms": 2000}
// expect: memory_limit|time_limit memory<=67108864
#include <cstring>
#include <new>

int main()
{
    for (;;) {
        try {
            std::memset(new char[8 << 20], 1, 8 << 20);
        } catch (const std::bad_alloc &) {
        }
    }
}
