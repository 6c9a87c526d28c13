// A program as a child process, with what it prints in a pipe.
#pragma once

#include <sys/types.h>

#include <cstdio>
#include <string>
#include <vector>

namespace mrl {

class Child {
 public:
  // `with_stderr` puts stderr into the pipe too.
  explicit Child(std::vector<std::string> arguments, bool with_stderr = false);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // With its end; empty at the end of the output.
  std::string ReadLine();
  std::string ReadAll();
  // Writes to the child's stdin and closes it.
  void Type(const std::string& text);
  void Signal(int number) const;
  // Exit code, or 1000 + signal.
  int Wait();
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  int input_ = -1;
  FILE* output_ = nullptr;
};

}  // namespace mrl
