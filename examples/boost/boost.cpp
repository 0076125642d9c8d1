/* SPDX-License-Identifier: MIT */
/*
 * boost container|anonymous|named|queue make|use NAME COUNT: Boost.Interprocess
 * as Debian has it. `make` makes all that has a name and removes it, `use`
 * waits for it.
 */
#include <boost/interprocess/allocators/allocator.hpp>
#include <boost/interprocess/containers/map.hpp>
#include <boost/interprocess/containers/vector.hpp>
#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/interprocess/managed_shared_memory.hpp>
#include <boost/interprocess/sync/interprocess_condition.hpp>
#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <boost/interprocess/sync/interprocess_semaphore.hpp>
#include <boost/interprocess/sync/named_condition.hpp>
#include <boost/interprocess/sync/named_mutex.hpp>
#include <boost/interprocess/sync/named_semaphore.hpp>
#include <boost/interprocess/sync/scoped_lock.hpp>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <thread>

using namespace boost::interprocess;
using Segment = managed_shared_memory;
using Vector = vector<long, allocator<long, Segment::segment_manager>>;
using Pair = std::pair<const int, long>;
using Map = map<int, long, std::less<int>, allocator<Pair, Segment::segment_manager>>;

/* whose turn it is: the ends take turns by a mutex and a condition */
struct Gate {
	interprocess_mutex mutex;
	interprocess_condition changed;
	int turn = 0;

	void wait(int wanted)
	{
		scoped_lock<interprocess_mutex> lock(mutex);
		while (turn != wanted)
			changed.wait(lock);
	}
	void set(int now)
	{
		scoped_lock<interprocess_mutex> lock(mutex);
		turn = now;
		changed.notify_all();
	}
};

/* Try until it is there, for JOIN_SECONDS or a minute. */
template<class F> static auto retry(F open)
{
	const char *s = std::getenv("JOIN_SECONDS");
	auto end = std::chrono::steady_clock::now() + std::chrono::seconds(s ? atoi(s) : 60);

	for (;;) {
		try {
			if (auto p = open())
				return p;
		} catch (interprocess_exception &e) {
			if (e.get_error_code() != not_found_error)
				throw;
		}
		if (std::chrono::steady_clock::now() > end)
			throw std::runtime_error("waited in vain for the other end");
		std::this_thread::sleep_for(std::chrono::milliseconds(5));
	}
}

static std::unique_ptr<Segment> join(const char *name)
{
	return retry([=] { return std::make_unique<Segment>(open_only, name); });
}

template<class T> static T *found(Segment &s, const char *name)
{
	return retry([&] { return s.find<T>(name).first; });
}

static void container_make(const char *name, long n)
{
	Segment s(create_only, name, 262144);
	auto *v = s.construct<Vector>("vector")(s.get_segment_manager());
	auto *m = s.construct<Map>("map")(std::less<int>(), s.get_segment_manager());
	auto *gate = s.construct<Gate>("gate")();

	for (long i = 0; i < n; i++)
		v->push_back(i * i);
	gate->set(1);
	gate->wait(2);
	std::cout << "make: the map has " << m->size() << " entries, the last "
		  << m->rbegin()->second << ", the vector " << v->size() << std::endl;
	s.destroy<Vector>("vector");
	s.destroy<Map>("map");
	gate->set(3);
	gate->wait(4);
	shared_memory_object::remove(name);
}

static void container_use(const char *name, long n)
{
	auto s = join(name);
	auto *gate = found<Gate>(*s, "gate");
	long sum = 0;

	gate->wait(1);
	auto *v = found<Vector>(*s, "vector");
	auto *m = found<Map>(*s, "map");
	for (long i = 0; i < n; i++) {
		sum += v->at(i);
		m->insert(Pair(int(i), v->at(i) + 1));
	}
	v->push_back(sum);
	std::cout << "use: " << n << " squares add up to " << sum << std::endl;
	gate->set(2);
	gate->wait(3);
	std::cout << "use: vector gone: " << !s->find<Vector>("vector").first << std::endl;
	gate->set(4);
}

struct Buffer {
	Gate gate;
	interprocess_semaphore empty{4}, full{0};
	interprocess_mutex mutex;
	long item[4], in = 0, out = 0;
};

static void anonymous_make(const char *name, long n)
{
	Segment s(create_only, name, 65536);
	auto *b = s.construct<Buffer>("buffer")();
	long sum = 0;

	for (long i = 1; i <= n; i++) {
		b->empty.wait();
		scoped_lock<interprocess_mutex> lock(b->mutex);
		b->item[b->in++ % 4] = i * 3;
		sum += i * 3;
		b->full.post();
	}
	b->gate.wait(1);
	std::cout << "make: " << n << " items, sum " << sum << std::endl;
	shared_memory_object::remove(name);
}

static void anonymous_use(const char *name, long n)
{
	auto s = join(name);
	auto *b = found<Buffer>(*s, "buffer");
	long sum = 0;

	for (long i = 1; i <= n; i++) {
		b->full.wait();
		scoped_lock<interprocess_mutex> lock(b->mutex);
		sum += b->item[b->out++ % 4];
		b->empty.post();
	}
	std::cout << "use: " << n << " items, sum " << sum << std::endl;
	b->gate.set(1);
}

struct Counter { volatile long count = 0; int arrived = 0; };

/* Each end adds COUNT under the named mutex; both meet by the named condition. */
static void named_both(Counter *c, named_mutex &m, named_condition &changed, long n)
{
	for (long i = 0; i < n; i++) {
		scoped_lock<named_mutex> lock(m);
		c->count = c->count + 1;
	}
	scoped_lock<named_mutex> lock(m);
	c->arrived++;
	changed.notify_all();
	while (c->arrived != 2)
		changed.wait(lock);
}

static void named_make(const char *name, long n)
{
	std::string base(name), mn = base + "-mutex", cn = base + "-cond", sn = base + "-sem";
	named_mutex m(create_only, mn.c_str());
	named_condition changed(create_only, cn.c_str());
	named_semaphore done(create_only, sn.c_str(), 0);
	Segment s(create_only, name, 65536);
	auto *c = s.construct<Counter>("counter")();

	named_both(c, m, changed, n);
	done.wait();
	std::cout << "make: counted to " << c->count << std::endl;
	named_mutex::remove(mn.c_str());
	named_condition::remove(cn.c_str());
	named_semaphore::remove(sn.c_str());
	shared_memory_object::remove(name);
}

static void named_use(const char *name, long n)
{
	auto s = join(name);
	std::string base(name);
	named_mutex m(open_only, (base + "-mutex").c_str());
	named_condition changed(open_only, (base + "-cond").c_str());
	named_semaphore done(open_only, (base + "-sem").c_str());
	auto *c = found<Counter>(*s, "counter");

	named_both(c, m, changed, n);
	std::cout << "use: counted to " << c->count << std::endl;
	done.post();
}

static void queue_make(const char *name, long n)
{
	std::string back = std::string(name) + "-back";
	message_queue answers(create_only, back.c_str(), 1, sizeof(long));
	message_queue q(create_only, name, 8, sizeof(long));
	message_queue::size_type size;
	unsigned int priority;
	long sum;

	for (long i = 1; i <= n; i++)
		q.send(&i, sizeof(i), 0);
	answers.receive(&sum, sizeof(sum), size, priority);
	std::cout << "make: sent " << n << " messages, told that they add up to " << sum
		  << " with priority " << priority << std::endl;
	message_queue::remove(name);
	message_queue::remove(back.c_str());
}

static void queue_use(const char *name, long n)
{
	auto q = retry([=] { return std::make_unique<message_queue>(open_only, name); });
	message_queue answers(open_only, (std::string(name) + "-back").c_str());
	message_queue::size_type size;
	unsigned int priority;
	long sum = 0;

	for (long i = 1, got; i <= n; i++) {
		q->receive(&got, sizeof(got), size, priority);
		if (got != i)
			throw std::runtime_error("out of order");
		sum += got;
	}
	std::cout << "use: received " << n << " messages, which add up to " << sum
		  << ", then none: " << !q->try_receive(&n, sizeof(n), size, priority)
		  << std::endl;
	answers.send(&sum, sizeof(sum), 7);
}

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*make)(const char *, long);
		void (*use)(const char *, long); } what[] = {
		{ "container", container_make, container_use },
		{ "anonymous", anonymous_make, anonymous_use },
		{ "named", named_make, named_use }, { "queue", queue_make, queue_use } };

	for (auto &w : what) {
		if (argc != 5 || std::string(w.name) != argv[1])
			continue;
		try {
			(argv[2][0] == 'm' ? w.make : w.use)(argv[3], atol(argv[4]));
			return 0;
		} catch (std::exception &e) {
			std::cerr << "boost " << argv[1] << ": " << e.what() << std::endl;
			return 1;
		}
	}
	std::cerr << "usage: boost container|anonymous|named|queue make|use NAME COUNT\n";
	return 2;
}
