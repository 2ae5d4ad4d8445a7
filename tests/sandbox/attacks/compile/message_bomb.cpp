// attack: One line that makes megabytes of complaints.
// language: cpp-hasty
// expect: compile_error stderr<=4194304
#define A(x) x x x x x x x x x x
#define B(x) A(A(A(A(x))))
template <class... T> struct list {};
B(list<list<int, undeclared>, list<undeclared> > y = "complaint"; )
int main() {}
