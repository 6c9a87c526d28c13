#include "base/mapped_bytes.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/status.h"

namespace mrl {
namespace {

using Guard = MappedBytes::Guard;

std::atomic<Guard*> first_guard{nullptr};
struct sigaction previous_action = {};

absl::Mutex& GuardMutex() {
  static absl::Mutex& mutex = *new absl::Mutex;
  return mutex;
}

// The handler that was there before; without one the instruction runs again and ends the process.
void PassOn(int signal, siginfo_t* info, void* context) {
  if ((previous_action.sa_flags & SA_SIGINFO) != 0) {
    previous_action.sa_sigaction(signal, info, context);
  } else if (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN) {
    previous_action.sa_handler(signal);
  } else {
    ::signal(signal, SIG_DFL);
  }
}

// Calls only what may be called in a handler. The whole mapping goes: whoever reads from it is
// refused from now on, and the next page costs no signal.
void OnBusError(int signal, siginfo_t* info, void* context) {
  const int error = errno;
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  for (Guard* guard = first_guard.load(); guard != nullptr; guard = guard->next) {
    const uintptr_t begin = guard->begin.load();
    const uintptr_t end = guard->end.load();
    if (address < begin || address >= end) continue;
    guard->damaged.store(true);
    const long mapped = syscall(SYS_mmap, begin, end - begin, PROT_READ,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    if (mapped == -1) break;
    errno = error;
    return;
  }
  PassOn(signal, info, context);
}

void InstallHandler() {
  static const bool installed = [] {
    struct sigaction action = {};
    action.sa_sigaction = OnBusError;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    return sigaction(SIGBUS, &action, &previous_action) == 0;
  }();
  (void)installed;  // it cannot fail
}

Guard* AddGuard(const std::byte* begin, size_t bytes) {
  absl::MutexLock lock(&GuardMutex());
  Guard* guard = first_guard.load();
  while (guard != nullptr && guard->end.load() != 0) guard = guard->next;
  if (guard == nullptr) {
    guard = new Guard;
    guard->next = first_guard.load();
    first_guard.store(guard);
  }
  const auto address = reinterpret_cast<uintptr_t>(begin);
  guard->damaged.store(false);
  guard->begin.store(address);
  guard->end.store(address + bytes);
  return guard;
}

void FreeGuard(Guard* guard) {
  absl::MutexLock lock(&GuardMutex());
  guard->end.store(0);
}

uint64_t RoundUp(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

absl::StatusOr<std::unique_ptr<MappedBytes>> MappedBytes::Map(int descriptor, uint64_t offset,
                                                              uint64_t bytes) {
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t head = offset % page;
  struct stat info = {};
  if (fstat(descriptor, &info) != 0) return ErrnoStatus(errno, "look at a file to map");
  const uint64_t in_file = RoundUp(static_cast<uint64_t>(info.st_size), page);
  if (bytes > SIZE_MAX / 2 || offset + bytes > in_file) {
    return absl::OutOfRangeError(
        absl::StrCat("map ", bytes, " bytes at ", offset, ": the file has ", info.st_size));
  }
  std::unique_ptr<MappedBytes> made(new MappedBytes);
  made->size_ = bytes;
  made->descriptor_ = descriptor;
  made->file_bytes_ = info.st_size;
  made->mapped_bytes_ = RoundUp(head + bytes + Buffer::kReadSlack, page);
  // Memory first: what is read past the end of the file is in no page of it.
  void* memory = mmap(nullptr, made->mapped_bytes_, PROT_READ,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return ErrnoStatus(errno, absl::StrCat("map ", bytes, " bytes"));
  made->mapped_ = static_cast<std::byte*>(memory);
  made->data_ = made->mapped_ + head;
  const uint64_t begin = offset - head;
  const uint64_t from_file = std::min<uint64_t>(made->mapped_bytes_, in_file - begin);
  if (from_file > 0 && mmap(memory, from_file, PROT_READ, MAP_SHARED | MAP_FIXED, descriptor,
                            static_cast<off_t>(begin)) == MAP_FAILED) {
    return ErrnoStatus(errno, absl::StrCat("map ", bytes, " bytes at ", offset));
  }
  madvise(memory, made->mapped_bytes_, MADV_RANDOM);  // a wish: refused without harm
  InstallHandler();
  made->guard_ = AddGuard(made->mapped_, made->mapped_bytes_);
  return made;
}

std::unique_ptr<MappedBytes> MappedBytes::Hold(Buffer bytes) {
  std::unique_ptr<MappedBytes> made(new MappedBytes);
  made->held_ = std::move(bytes);
  made->data_ = made->held_.data();
  made->size_ = made->held_.size();
  return made;
}

bool MappedBytes::intact() const {
  if (guard_ == nullptr) return true;
  if (guard_->damaged.load()) return false;
  struct stat info = {};
  return fstat(descriptor_, &info) == 0 && info.st_size >= file_bytes_;
}

MappedBytes::~MappedBytes() {
  if (guard_ != nullptr) FreeGuard(guard_);
  if (mapped_ != nullptr) munmap(mapped_, mapped_bytes_);
}

}  // namespace mrl
