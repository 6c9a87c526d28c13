// Debian's Abseil was compiled without ThreadSanitizer, which therefore sees none of its locks and
// calls everything that they guard a race. These functions stand before the library's own, in all
// that is loaded, gRPC too: they tell ThreadSanitizer what a lock orders and go on to the real
// ones.
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include <utility>

#include "absl/synchronization/mutex.h"

extern "C" void AnnotateIgnoreReadsBegin(const char* file, int line);
extern "C" void AnnotateIgnoreReadsEnd(const char* file, int line);

namespace absl {
ABSL_NAMESPACE_BEGIN
namespace {

// Calls what `symbol` names behind this file; a member function takes its object first.
template <typename Result, typename... Arguments>
Result Real(void* symbol, Arguments... arguments) {
  return reinterpret_cast<Result (*)(Arguments...)>(symbol)(arguments...);
}

}  // namespace

// The symbol of a member of this Abseil's inline namespace.
#define MRL_REAL(name) dlsym(RTLD_NEXT, "_ZN4absl7debian3" name)
#define MRL_REAL_CONST(name) dlsym(RTLD_NEXT, "_ZNK4absl7debian3" name)

void Mutex::Lock() {
  static void* const real = MRL_REAL("5Mutex4LockEv");
  Real<void>(real, this);
  __tsan_acquire(this);
}

void Mutex::Unlock() {
  static void* const real = MRL_REAL("5Mutex6UnlockEv");
  __tsan_release(this);
  Real<void>(real, this);
}

bool Mutex::TryLock() {
  static void* const real = MRL_REAL("5Mutex7TryLockEv");
  const bool locked = Real<bool>(real, this);
  if (locked) __tsan_acquire(this);
  return locked;
}

void Mutex::ReaderLock() {
  static void* const real = MRL_REAL("5Mutex10ReaderLockEv");
  Real<void>(real, this);
  __tsan_acquire(this);
}

void Mutex::ReaderUnlock() {
  static void* const real = MRL_REAL("5Mutex12ReaderUnlockEv");
  __tsan_release(this);
  Real<void>(real, this);
}

void Mutex::LockWhen(const Condition& condition) {
  static void* const real = MRL_REAL("5Mutex8LockWhenERKNS0_9ConditionE");
  Real<void>(real, this, &condition);
  __tsan_acquire(this);
}

bool Mutex::LockWhenWithDeadline(const Condition& condition, Time deadline) {
  static void* const real = MRL_REAL("5Mutex20LockWhenWithDeadlineERKNS0_9ConditionENS0_4TimeE");
  const bool met = Real<bool>(real, this, &condition, deadline);
  __tsan_acquire(this);
  return met;
}

bool Mutex::LockWhenWithTimeout(const Condition& condition, Duration timeout) {
  static void* const real = MRL_REAL("5Mutex19LockWhenWithTimeoutERKNS0_9ConditionENS0_8DurationE");
  const bool met = Real<bool>(real, this, &condition, timeout);
  __tsan_acquire(this);
  return met;
}

void Mutex::Await(const Condition& condition) {
  static void* const real = MRL_REAL("5Mutex5AwaitERKNS0_9ConditionE");
  __tsan_release(this);
  Real<void>(real, this, &condition);
  __tsan_acquire(this);
}

bool Mutex::AwaitWithDeadline(const Condition& condition, Time deadline) {
  static void* const real = MRL_REAL("5Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE");
  __tsan_release(this);
  const bool met = Real<bool>(real, this, &condition, deadline);
  __tsan_acquire(this);
  return met;
}

bool Mutex::AwaitWithTimeout(const Condition& condition, Duration timeout) {
  static void* const real = MRL_REAL("5Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE");
  __tsan_release(this);
  const bool met = Real<bool>(real, this, &condition, timeout);
  __tsan_acquire(this);
  return met;
}

void CondVar::Wait(Mutex* mutex) {
  static void* const real = MRL_REAL("7CondVar4WaitEPNS0_5MutexE");
  __tsan_release(mutex);
  Real<void>(real, this, mutex);
  __tsan_acquire(mutex);
}

bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  static void* const real = MRL_REAL("7CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE");
  __tsan_release(mutex);
  const bool timed_out = Real<bool>(real, this, mutex, deadline);
  __tsan_acquire(mutex);
  return timed_out;
}

bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  static void* const real = MRL_REAL("7CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE");
  __tsan_release(mutex);
  const bool timed_out = Real<bool>(real, this, mutex, timeout);
  __tsan_acquire(mutex);
  return timed_out;
}

// Whoever unlocks asks the conditions of those that wait, still under the lock but after the
// release above.
bool Condition::Eval() const {
  static void* const real = MRL_REAL_CONST("9Condition4EvalEv");
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
  const bool met = Real<bool>(real, this);
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  return met;
}

ABSL_NAMESPACE_END
}  // namespace absl
