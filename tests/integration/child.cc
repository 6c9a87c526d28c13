#include "tests/integration/child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace mrl {

Child::Child(std::vector<std::string> arguments, bool with_stderr) {
  int out[2], in[2];
  if (pipe2(out, O_CLOEXEC) != 0 || pipe2(in, O_CLOEXEC) != 0) return;
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_ = fork();
  if (pid_ == 0) {
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    if (with_stderr) dup2(out[1], STDERR_FILENO);
    execv(argv[0], argv.data());
    _exit(127);
  }
  close(out[1]);
  close(in[0]);
  input_ = in[1];
  output_ = fdopen(out[0], "r");
}

Child::~Child() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  if (input_ >= 0) close(input_);
  if (output_ != nullptr) fclose(output_);
}

std::string Child::ReadLine() {
  char line[4096] = "";
  return fgets(line, sizeof line, output_) == nullptr ? "" : line;
}

std::string Child::ReadAll() {
  std::string all;
  for (std::string line = ReadLine(); !line.empty(); line = ReadLine()) all += line;
  return all;
}

void Child::Type(const std::string& text) {
  if (write(input_, text.data(), text.size()) < 0) return;
  close(input_);
  input_ = -1;
}

void Child::Signal(int number) const { kill(pid_, number); }

int Child::Wait() {
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

}  // namespace mrl
