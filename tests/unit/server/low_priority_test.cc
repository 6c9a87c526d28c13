#include "server/low_priority.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iterator>

#include "server/grpc_port.h"
#include "server/log.h"

namespace mrl::server {
namespace {

// Denies the calling thread, and those that it starts, what sets priorities: EPERM, as the filter
// of a service or a container answers.
void DenyPriorities() {
  constexpr uint32_t kDeny = SECCOMP_RET_ERRNO | EPERM;
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_setpriority, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_sched_setscheduler, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, kDeny),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {static_cast<uint16_t>(std::size(code)), code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
    std::perror("seccomp");
    std::exit(1);
  }
}

// Opens the port in this process, with the filter or without, and ends it.
[[noreturn]] void OpenPort(bool denied) {
  SetUpLog("text", "warn");
  if (denied) DenyPriorities();
  Config config;
  config.grpc_port = 0;
  const auto port = OpenGrpcPort(config, /*tls=*/nullptr, {});
  std::exit(port.ok() ? 0 : 1);
}

class LowPriorityDeathTest : public ::testing::Test {
 protected:
  // The processes start gRPC anew; a copy of one that runs cannot.
  LowPriorityDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(LowPriorityDeathTest, ARefusedPriorityIsLoggedOnce) {
  const auto lower_twice = [] {
    SetUpLog("text", "warn");
    DenyPriorities();
    LowerPriority();
    LowerPriority();
    std::exit(0);
  };
  EXPECT_EXIT(lower_twice(), ::testing::ExitedWithCode(0),
              "^[^\n]* warn(ing)? setpriority: Operation not permitted: merges[^\n]*\n$");
}

TEST_F(LowPriorityDeathTest, ARefusedClassIsLoggedAndThePortOpens) {
  EXPECT_EXIT(OpenPort(/*denied=*/true), ::testing::ExitedWithCode(0),
              "^[^\n]* warn(ing)? sched_setscheduler: Operation not permitted: calls[^\n]*\n$");
}

TEST_F(LowPriorityDeathTest, WhatIsAllowedIsNotLogged) {
  EXPECT_EXIT(OpenPort(/*denied=*/false), ::testing::ExitedWithCode(0), "^$");
}

}  // namespace
}  // namespace mrl::server
