"""cpp_programs: C++ programs that must compile to the same code, or fail with the same messages, with and without
precompiled headers.  They use the standard's templates in ways that depend on when these were instantiated."""

# Each comes behind the include of bits/stdc++.h.
WELL = {
    "containers": r"""
using namespace std;
int main()
{
    map<string, vector<int>> m;
    unordered_map<long long, set<pair<int, int>>> u;
    priority_queue<tuple<int, int, string>> q;
    string s;
    int n = 0;
    while (cin >> s) {
        m[s].push_back(n++);
        u[n].emplace(n, n / 2);
        q.emplace(n, -n, s);
    }
    for (auto &[word, places] : m) cout << word << ' ' << places.size() << '\n';
    deque<int> d(10);
    list<string> l(3, "x");
    bitset<200> b;
    b.set(7);
    multiset<double> ms{1.5, 2.5};
    stack<int> st(d);
    d.push_front(1);
    l.splice(l.begin(), list<string>{"y"});
    stringstream ss;
    ss << b << fixed << setprecision(3) << *ms.begin();
    cout << ss.str() << get<2>(q.top()) << u.size() << st.size() << d[0] << l.front() << endl;
}
""",
    "algorithms": r"""
using namespace std;
int main()
{
    vector<int> v(1000);
    iota(v.begin(), v.end(), 0);
    mt19937 random(5);
    shuffle(v.begin(), v.end(), random);
    sort(v.begin(), v.end(), [](int a, int b) { return a % 7 < b % 7 || (a % 7 == b % 7 && a > b); });
    stable_sort(v.rbegin(), v.rend());
    nth_element(v.begin(), v.begin() + 10, v.end(), greater<>());
    vector<string> words{"b", "a", "c"};
    sort(words.begin(), words.end());
    sort(words.begin(), words.end(), greater<string>());
    auto at = lower_bound(words.begin(), words.end(), "b"s);
    partial_sum(v.begin(), v.end(), v.begin());
    cout << accumulate(v.begin(), v.end(), 0LL, [](long long a, int b) { return a ^ b; })
         << (at - words.begin()) << count_if(v.begin(), v.end(), [&](int x) { return x > v[0]; })
         << *max_element(words.begin(), words.end());
    ranges::sort(v, {}, [](int x) { return -x; });
    for (int x : v | views::filter([](int x) { return x & 1; }) | views::take(3)) cout << x << ' ';
    do cout << words[0];
    while (next_permutation(words.begin(), words.end()));
}
""",
    "regex": r"""
int main()
{
    std::string line;
    const std::regex word("([a-z]+)-(\\d{2,4})", std::regex::icase | std::regex::optimize);
    while (std::getline(std::cin, line)) {
        std::smatch found;
        if (std::regex_search(line, found, word)) std::cout << found[1] << '/' << found.str(2) << '\n';
        std::cout << std::regex_replace(line, word, "$2-$1") << '\n';
    }
    std::wstring wide = L"a-12";
    std::cout << std::regex_match(wide, std::wregex(L"a-[0-9]+"));
}
""",
    "threads": r"""
std::mutex mutex;
std::condition_variable ready;
std::atomic<int> count{0};
thread_local int mine = 3;
int main()
{
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; i++)
        threads.emplace_back([i] {
            std::unique_lock lock(mutex);
            count += i + mine++;
            ready.notify_one();
        });
    {
        std::unique_lock lock(mutex);
        ready.wait(lock, [] { return count >= 0; });
    }
    for (auto &thread : threads) thread.join();
    auto later = std::async(
        std::launch::async, [](std::string s) { return s + "!"; }, std::string("x"));
    std::promise<std::vector<int>> promise;
    promise.set_value({1, 2});
    std::call_once(*new std::once_flag, [] { count++; });
    std::shared_mutex shared;
    std::shared_lock reading(shared);
    std::counting_semaphore<4> four(1);
    four.acquire();
    std::cout << later.get() << promise.get_future().get().size() << count;
}
""",
    "of_std": r"""
struct Point {
    int x, y;
    bool operator==(const Point &) const = default;
};
template <> struct std::hash<Point> {
    size_t operator()(const Point &p) const noexcept { return hash<int>()(p.x) ^ p.y; }
};
template <> struct std::less<Point> {
    bool operator()(Point a, Point b) const { return a.x < b.x; }
};
template <> struct std::char_traits<Point>;
template <> void std::swap(Point &a, Point &b) noexcept
{
    Point c = a;
    a = b;
    b = c;
    a.x++;
}
template <> struct std::numeric_limits<Point> {
    static constexpr bool is_specialized = true;
};
template <> struct std::tuple_size<Point> : std::integral_constant<size_t, 2> {
};
std::ostream &operator<<(std::ostream &out, const Point &p) { return out << p.x << ',' << p.y; }
template <class T> std::ostream &operator<<(std::ostream &out, const std::vector<T> &v)
{
    for (auto &x : v) out << x << ';';
    return out;
}
std::istream &operator>>(std::istream &in, Point &p) { return in >> p.x >> p.y; }
std::ostream &operator<<(std::ostream &out, const std::pair<int, int> &p) { return out << p.first << p.second; }
int main()
{
    std::unordered_set<Point> all;
    std::set<Point> sorted;
    std::vector<Point> v(3);
    Point p;
    while (std::cin >> p) all.insert(p), sorted.insert(p), v.push_back(p);
    std::swap(v[0], v[1]);
    std::iter_swap(v.begin(), v.end() - 1);
    std::reverse(v.begin(), v.end());
    std::copy(v.begin(), v.end(), std::ostream_iterator<Point>(std::cout, "\n"));
    std::cout << v << std::vector<std::vector<int>>{{1}} << std::pair(1, 2) << all.size()
              << std::numeric_limits<Point>::is_specialized;
}
""",
    "instantiations": r"""
template class std::vector<int>;
template class std::basic_string<char16_t>;
template class std::map<int, std::string>;
extern template class std::vector<double>;
template void std::sort(int *, int *);
template std::ostream &std::endl(std::ostream &);
template <> inline void std::vector<short>::clear() noexcept { std::cout << "mine"; }
int main()
{
    std::vector<int> v{1};
    std::vector<double> d;
    std::vector<short> s;
    s.clear();
    std::cout << v[0] << d.size();
}
""",
    "exceptions": r"""
struct Own : std::runtime_error {
    using runtime_error::runtime_error;
    std::vector<int> v{1, 2};
    ~Own() override { std::cerr << 'd'; }
};
void thrower(int n)
{
    if (n == 0) throw Own("own");
    if (n == 1) throw std::out_of_range("far");
    std::vector<int>().at(n);
    std::string("x").substr(n);
    std::stoi("no");
    std::bad_alloc();
}
int main()
{
    for (int i = 0; i < 4; i++) try {
            thrower(i);
        } catch (const Own &e) {
            std::cout << e.what() << e.v.size();
        } catch (const std::logic_error &e) {
            std::cout << e.what();
            try {
                std::throw_with_nested(1);
            } catch (...) {
            }
        }
    std::optional<int> none;
    std::variant<int, std::string> v{"x"};
    std::any a = 1;
    try {
        none.value();
        std::get<int>(v);
        std::any_cast<long>(a);
    } catch (std::exception &e) {
        std::cout << e.what();
    }
    std::error_code code(2, std::system_category());
    std::cout << code.message();
}
""",
    "memory": r"""
static long used;
void *operator new(std::size_t n)
{
    used += n;
    if (void *at = std::malloc(n)) return at;
    throw std::bad_alloc();
}
void operator delete(void *at) noexcept { std::free(at); }
void operator delete(void *at, std::size_t n) noexcept
{
    used -= n;
    std::free(at);
}
template <class T> struct Counting {
    using value_type = T;
    Counting() = default;
    template <class U> Counting(const Counting<U> &) {}
    T *allocate(std::size_t n) { return static_cast<T *>(::operator new(n * sizeof(T))); }
    void deallocate(T *at, std::size_t n) { ::operator delete(at, n * sizeof(T)); }
    bool operator==(const Counting &) const { return true; }
};
struct Node : std::enable_shared_from_this<Node> {
    std::weak_ptr<Node> up;
    std::unique_ptr<Node> down;
    virtual ~Node() = default;
};
int main()
{
    std::vector<int, Counting<int>> v(10);
    std::map<int, int, std::less<>, Counting<std::pair<const int, int>>> m;
    m[1]++;
    auto node = std::make_shared<Node>();
    node->up = node->shared_from_this();
    node->down = std::make_unique<Node>();
    char room[1000];
    std::pmr::monotonic_buffer_resource pool(room, sizeof room);
    std::pmr::vector<std::pmr::string> p(&pool);
    p.emplace_back("a string that is too long for its own few bytes");
    std::function<int(int)> f = [&v](int i) { return v[i]; };
    std::string s(100, 'x');
    s += std::to_string(used);
    std::cout << used << f(1) << s << std::bind(std::plus<>(), 1, std::placeholders::_1)(2) << p[0];
}
""",
    "constants": r"""
constexpr auto table = [] {
    std::array<int, 64> a{};
    for (int i = 0; i < 64; i++) a[i] = i * i;
    std::ranges::reverse(a);
    return a;
}();
consteval int length(std::string_view s)
{
    return (int)std::count(s.begin(), s.end(), 'a') + (int)std::string(s).size();
}
template <std::size_t... I> constexpr int sum(std::index_sequence<I...>) { return (table[I] + ... + 0); }
template <class T>
concept Printable = requires(T t)
{
    {
        std::cout << t
        } -> std::same_as<std::ostream &>;
};
template <Printable T> void print(const T &t) { std::cout << t << std::is_same_v<T, int> << typeid(T).name(); }
inline std::vector<std::string> names{"a", "b"};
static std::map<int, int> squares{{1, 1}, {2, 4}};
int main()
{
    static_assert(sum(std::make_index_sequence<4>()) > 0 && length("banana") == 9);
    static const std::regex once("a+");
    static std::string lazy = names[0];
    print(table[3]);
    print(std::string("x"));
    print(squares.size());
    print(std::string_view(lazy));
    std::cout << std::boolalpha << true;
    std::cout << std::popcount(7u) << std::gcd(12, 18) << std::midpoint(1, 4) << std::numbers::pi
              << std::lerp(1.0, 2.0, .5);
}
""",
    "coroutines": r"""
template <class T> struct Generator {
    struct promise_type {
        T value;
        Generator get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_always initial_suspend() { return {}; }
        std::suspend_always final_suspend() noexcept { return {}; }
        std::suspend_always yield_value(T v)
        {
            value = std::move(v);
            return {};
        }
        void return_void() {}
        void unhandled_exception() { std::rethrow_exception(std::current_exception()); }
    };
    std::coroutine_handle<promise_type> handle;
    ~Generator() { handle.destroy(); }
};
Generator<std::string> words(int n)
{
    for (std::string s; n-- > 0;) co_yield s += "x";
}
int main()
{
    auto g = words(3);
    for (g.handle.resume(); !g.handle.done(); g.handle.resume()) std::cout << g.handle.promise().value;
}
""",
    "start": r"""
struct Early {
    Early() { std::cout << "early " << std::setw(5) << 1 << std::endl; }
    ~Early() { std::cerr << "late\n"; }
} early;
static std::ofstream file("/dev/null");
std::locale own(std::locale(), new std::numpunct<char>);
thread_local std::string each = "t";
int main()
{
    std::ios::sync_with_stdio(false);
    std::cin.tie(nullptr);
    std::cout.imbue(own);
    std::ifstream in("main.cpp");
    std::string line;
    std::wcout << L"wide" << 1.5;
    std::getline(in, line);
    std::istringstream words(line);
    std::vector<std::string> all{std::istream_iterator<std::string>(words), {}};
    file << all.size() << std::put_time(std::localtime(new time_t(0)), "%F");
    std::cout << std::hex << 255 << std::quoted(line) << each
              << std::chrono::hours(24) / std::chrono::minutes(7);
    std::filesystem::path p("a/b");
    std::cout << p.parent_path();
}
""",
    "virtual": r"""
struct Shape {
    virtual double area() const = 0;
    virtual ~Shape() {}
};
struct Left : virtual Shape {
    std::string name = "l";
    double area() const override { return name.size(); }
};
struct Right : virtual Shape {
    std::vector<int> v;
    double area() const override { return v.size(); }
};
struct Both : Left, Right {
    double area() const override { return Left::area() + Right::area(); }
};
struct Buffer : std::streambuf {
    int overflow(int c) override { return std::putchar(c); }
};
template <class... F> struct overloaded : F... {
    using F::operator()...;
};
template <int N> struct Fib {
    static constexpr long value = Fib<N - 1>::value + Fib<N - 2>::value;
};
template <> struct Fib<0> {
    static constexpr long value = 0;
};
template <> struct Fib<1> {
    static constexpr long value = 1;
};
int main()
{
    std::vector<std::unique_ptr<Shape>> all;
    all.push_back(std::make_unique<Both>());
    all.emplace_back(new Left);
    Buffer buffer;
    std::ostream out(&buffer);
    out << all[0]->area() << dynamic_cast<Left *>(all[1].get())->name << Fib<40>::value;
    std::variant<int, std::string, std::vector<int>> v = "s";
    std::visit(overloaded{[](int i) { std::cout << i; }, [](const std::string &s) { std::cout << s; },
                          [](auto &x) { std::cout << x.size(); }},
               v);
}
""",
}
# Text between the header and a program.  None of it keeps g++ from using the precompiled header.
AFTER = {
    "optimize": '#pragma GCC optimize("O3,unroll-loops")\n',
    "fast": '#pragma GCC optimize("Ofast")\n#pragma GCC target("avx2,bmi,popcnt")\n',
    "size": '#pragma GCC optimize("Os")\n',
    "target": '#pragma GCC target("avx2")\n',
    "pushed": '#pragma GCC push_options\n#pragma GCC optimize("O3")\ninline int f(int x) { return x + 1; }\n'
              '#pragma GCC pop_options\n',
    "macros": "#define ll long long\n#define endl '\\n'\n#define all(x) (x).begin(), (x).end()\n",
    "visibility": "#pragma GCC visibility push(hidden)\n",
    "pack": "#pragma pack(1)\n",
}
ILL = {
    "types": "int main() { std::set<std::mutex> s; s.insert(1); std::string x = 5; std::vector<int> v = \"a\"; }\n",
    "no_such": "int main() { std::vector<int> v; v.push(1); std::sort(v); cout << v; return std::nothing; }\n",
    "ambiguous": "using namespace std; int count; int data; int main() { count = 1; data = 2; int left; }\n",
    "unsortable": "struct A {}; int main() { std::vector<A> v(3); std::sort(v.begin(), v.end()); }\n",
    "unordered": "struct A {}; int main() { std::map<A, A> m; m[A()]; std::set<A> s; s.insert(A()); }\n",
    "unhashable": "struct A {}; std::unordered_map<A, int> m; int main() { m[A()] = 1; std::cout << A(); }\n",
    "private": "struct A : std::ios_base { }; int main() { A a; std::vector<std::unique_ptr<int>> v(1), w = v; }\n",
    "late": "template <> void std::basic_string<char>::clear() noexcept {} int main() { std::string().clear(); }\n",
    "again": "namespace std { template <class T> class vector {}; struct mutex {}; int cout; } int main() {}\n",
    "cut": "int main() { std::cout << \"a << 1;\n",
    "warned": "int f() { } int main() { int *p = new int[3]; std::vector<int> v; v.size() == -1; delete p; }\n",
}
