#include "tests/unit/cli/program.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>

#include "absl/strings/str_cat.h"
#include "base/file.h"

namespace mrl::cli {

Program::Program() {
  folder_ = "/tmp/mrl-cli-test-XXXXXX";
  if (mkdtemp(folder_.data()) == nullptr) std::abort();
  setenv("XDG_CACHE_HOME", (*this / "cache").c_str(), 1);
}

Program::~Program() { FileSystem::Posix().RemoveTree(folder_).IgnoreError(); }

std::string Program::Write(const std::string& name, const std::string& bytes) const {
  std::ofstream(*this / name, std::ios::binary) << bytes;
  return *this / name;
}

std::string Program::ReadFile(const std::string& name) const {
  std::ifstream file(*this / name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> Program::Names() const {
  return FileSystem::Posix().List(folder_).value();
}

std::vector<float> Program::Vectors(size_t rows, uint32_t seed, uint32_t dims) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(rows * dims);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = normal(engine) / (1.0F + static_cast<float>(i % dims));
  }
  return values;
}

std::string Program::WriteNpy(const std::string& name, const std::vector<float>& values,
                              uint32_t dims) const {
  const std::string data(reinterpret_cast<const char*>(values.data()),
                         values.size() * sizeof(float));
  return WriteNpy(name, "<f4", absl::StrCat("(", values.size() / dims, ", ", dims, ")"), data);
}

std::string Program::WriteNpy(const std::string& name, const std::string& descr,
                              const std::string& shape, const std::string& data) const {
  std::string header =
      absl::StrCat("{'descr': '", descr, "', 'fortran_order': False, 'shape': ", shape, ", }");
  header.resize(117, ' ');
  header += '\n';
  return Write(name, std::string("\x93NUMPY\x01\x00\x76\x00", 10) + header + data);
}

pid_t Program::Start(const std::vector<std::string>& arguments) const {
  std::vector<std::string> all = {std::getenv("MRL_INDEX_BINARY")};
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& argument : all) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const std::string out = *this / "stdout";
  const std::string err = *this / "stderr";
  const pid_t child = fork();
  if (child == 0) {
    dup2(open(out.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600), STDOUT_FILENO);
    dup2(open(err.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600), STDERR_FILENO);
    execv(argv[0], argv.data());
    _exit(127);
  }
  return child;
}

Finished Program::Wait(pid_t child) const {
  int status = 0;
  waitpid(child, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status), ReadFile("stdout"),
          ReadFile("stderr")};
}

std::string Program::BuildIndex(const std::vector<std::string>& more) const {
  std::string payloads;
  for (size_t i = 0; i < kRows; ++i) {
    absl::StrAppend(&payloads, "{\"text\": \"point ", i, "\", \"n\": ", i, "}\n");
  }
  std::vector<std::string> arguments = {"build",
                                        "--input",
                                        WriteNpy("base.npy", Vectors(kRows)),
                                        "--payloads",
                                        Write("payloads.jsonl", payloads),
                                        "--output",
                                        *this / "index"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const Finished built = Run(arguments);
  EXPECT_EQ(built.code, 0) << built.err;
  return *this / "index";
}

}  // namespace mrl::cli
