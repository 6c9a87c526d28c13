#include "server/log.h"

#include <grpc/support/log.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <chrono>
#include <memory>

#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"

namespace mrl::server {
namespace {

// Fields travel through spdlog behind the message, with separators that no value may hold.
constexpr char kField = '\x1f';
constexpr char kValue = '\x1e';

std::string WithoutControls(absl::string_view text) {
  std::string clean(text);
  for (char& c : clean) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return clean;
}

std::string Join(absl::string_view message, const LogFields& fields) {
  std::string joined = WithoutControls(message);
  for (const auto& [name, value] : fields) {
    absl::StrAppend(&joined, std::string(1, kField), name, std::string(1, kValue),
                    WithoutControls(value));
  }
  return joined;
}

// Bytes that are not UTF-8 are replaced: they would make the whole line no JSON.
std::string Json(absl::string_view text) {
  return nlohmann::json(WithoutControls(text))
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string Render(bool json, const std::string& time, absl::string_view level,
                   absl::string_view payload) {
  const std::vector<absl::string_view> parts = absl::StrSplit(payload, kField);
  std::string line;
  if (json) {
    absl::StrAppend(&line, "{\"time\":\"", time, "\",\"level\":\"", level,
                    "\",\"message\":", Json(parts[0]));
  } else {
    absl::StrAppend(&line, time, " ", level, " ", WithoutControls(parts[0]));
  }
  for (size_t i = 1; i < parts.size(); ++i) {
    const std::pair<absl::string_view, absl::string_view> field =
        absl::StrSplit(parts[i], absl::MaxSplits(kValue, 1));
    const bool plain = !field.second.empty() && !absl::StrContains(field.second, " ");
    if (json) {
      absl::StrAppend(&line, ",\"", field.first, "\":", Json(field.second));
    } else {
      absl::StrAppend(&line, " ", field.first, "=",
                      plain ? std::string(field.second) : Json(field.second));
    }
  }
  if (json) line.push_back('}');
  return line;
}

std::string Time(std::chrono::system_clock::time_point at) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromChrono(at), absl::UTCTimeZone());
}

absl::string_view View(spdlog::string_view_t text) { return {text.data(), text.size()}; }

class LineFormatter final : public spdlog::formatter {
 public:
  explicit LineFormatter(bool json) : json_(json) {}
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    std::string line =
        Render(json_, Time(message.time), View(spdlog::level::to_string_view(message.level)),
               View(message.payload));
    line.push_back('\n');
    out.append(line.data(), line.data() + line.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<LineFormatter>(json_);
  }

 private:
  const bool json_;
};

// gRPC's own lines: what it calls an error is mostly a client that it could not talk with.
void FromGrpc(gpr_log_func_args* line) {
  const auto level = line->severity == GPR_LOG_SEVERITY_DEBUG  ? spdlog::level::debug
                     : line->severity == GPR_LOG_SEVERITY_INFO ? spdlog::level::info
                                                               : spdlog::level::warn;
  Log(level, "grpc", {{"text", line->message}});
}

std::shared_ptr<spdlog::logger> MakeLogger() {
  auto logger =
      std::make_shared<spdlog::logger>("mrl", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  spdlog::set_default_logger(logger);
  gpr_set_log_function(FromGrpc);
  return logger;
}

}  // namespace

void SetUpLog(const std::string& format, const std::string& level) {
  // One for good: threads of gRPC's may be writing at any time, at the end of the program too.
  static const auto& logger = *new std::shared_ptr<spdlog::logger>(MakeLogger());
  logger->set_formatter(std::make_unique<LineFormatter>(format == "json"));
  spdlog::set_level(spdlog::level::from_str(level));
}

void Log(spdlog::level::level_enum level, absl::string_view message, const LogFields& fields) {
  if (!spdlog::should_log(level)) return;
  spdlog::log(level, spdlog::string_view_t("{}"), Join(message, fields));
}

std::string FormatLogLine(const std::string& format, spdlog::level::level_enum level,
                          absl::string_view message, const LogFields& fields) {
  return Render(format == "json", Time({}), View(spdlog::level::to_string_view(level)),
                Join(message, fields));
}

}  // namespace mrl::server
