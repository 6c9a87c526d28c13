#include "server/trace/exporter.h"

#include <httplib.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "server/version.h"

namespace mrl::server {
namespace {

using nlohmann::json;

constexpr absl::string_view kScheme = "http://";
constexpr int kTimeoutS = 5;

// `http://HOST:PORT` and the path of traces below it.
std::pair<std::string, std::string> Split(absl::string_view endpoint) {
  const size_t slash = endpoint.find('/', kScheme.size());
  const absl::string_view path = slash == absl::string_view::npos ? "" : endpoint.substr(slash);
  return {std::string(endpoint.substr(0, slash)),
          absl::StrCat(absl::StripSuffix(path, "/"), "/v1/traces")};
}

json Attribute(const char* key, const std::string& value) {
  return {{"key", key}, {"value", {{"stringValue", value}}}};
}

json ToJson(const Span& span) {
  constexpr int kInternal = 1, kServer = 2, kError = 2;
  json out = {{"traceId", span.trace_id},
              {"spanId", span.span_id},
              {"name", span.name},
              {"kind", span.server ? kServer : kInternal},
              {"startTimeUnixNano", absl::StrCat(absl::ToUnixNanos(span.begin))},
              {"endTimeUnixNano", absl::StrCat(absl::ToUnixNanos(span.end))},
              {"attributes", json::array()}};
  if (!span.parent_id.empty()) out["parentSpanId"] = span.parent_id;
  for (const auto& [key, value] : span.attributes)
    out["attributes"].push_back(Attribute(key, value));
  if (!span.error.empty()) out["status"] = {{"code", kError}, {"message", span.error}};
  return out;
}

httplib::Headers ParseHeaders(absl::string_view text) {
  httplib::Headers headers;
  for (const absl::string_view header : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(header, absl::MaxSplits('=', 1));
    headers.emplace(parts.first, parts.second);
  }
  return headers;
}

}  // namespace

std::string ToOtlpJson(const std::vector<Span>& spans) {
  json list = json::array();
  for (const Span& span : spans) list.push_back(ToJson(span));
  const json resource = {
      {"attributes",
       {Attribute("service.name", "mrl-server"), Attribute("service.version", kVersion)}}};
  const json scope = {{"scope", {{"name", "mrl"}}}, {"spans", std::move(list)}};
  const json body = {
      {"resourceSpans", {{{"resource", resource}, {"scopeSpans", json::array({scope})}}}}};
  return body.dump(-1, ' ', false, json::error_handler_t::replace);
}

absl::Status Exporter::Validate(const Options& options) {
  if (!absl::StartsWith(options.endpoint, kScheme) || options.endpoint.size() == kScheme.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("otlp-endpoint is '", options.endpoint, "'; http://HOST:PORT is needed"));
  }
  // It is shown in logs and by --print-config.
  if (absl::StrContains(options.endpoint, "@")) {
    return absl::InvalidArgumentError(
        "otlp-endpoint holds a user or a password; give them as a header, by otlp-headers");
  }
  for (const absl::string_view header :
       absl::StrSplit(options.headers, ',', absl::SkipWhitespace())) {
    const size_t equals = header.find('=');
    if (equals != 0 && equals != absl::string_view::npos &&
        header.find_first_of("\r\n") == absl::string_view::npos) {
      continue;
    }
    return absl::InvalidArgumentError("otlp-headers needs NAME=VALUE, separated by commas");
  }
  return absl::OkStatus();
}

Exporter::Exporter(const Options& options) : options_(options), thread_([this] { Work(); }) {}

Exporter::~Exporter() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void Exporter::Export(std::vector<Span> spans) {
  absl::MutexLock lock(&mutex_);
  if (queue_.size() + spans.size() > kQueueMax) {
    dropped_ += spans.size();
    return;
  }
  std::move(spans.begin(), spans.end(), std::back_inserter(queue_));
}

void Exporter::Work() {
  bool more = true;
  while (more) {
    std::vector<Span> batch;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.AwaitWithTimeout(absl::Condition(this, &Exporter::HasBatchOrStops),
                              options_.batch_wait);
      const auto end = queue_.begin() + static_cast<ptrdiff_t>(std::min(queue_.size(), kBatchMax));
      std::move(queue_.begin(), end, std::back_inserter(batch));
      queue_.erase(queue_.begin(), end);
      more = !stopping_ || !queue_.empty();
    }
    if (!batch.empty()) Send(batch);
  }
}

void Exporter::Send(const std::vector<Span>& spans) {
  const auto [server, path] = Split(options_.endpoint);
  httplib::Client client(server);
  client.set_connection_timeout(kTimeoutS);
  client.set_read_timeout(kTimeoutS);
  client.set_write_timeout(kTimeoutS);
  const httplib::Result reply =
      client.Post(path, ParseHeaders(options_.headers), ToOtlpJson(spans), "application/json");
  if (reply && reply->status >= 200 && reply->status < 300) {
    sent_ += spans.size();
    return;
  }
  dropped_ += spans.size();
  spdlog::warn("{} spans were not taken by {}: {}", spans.size(), server,
               reply ? absl::StrCat("status ", reply->status) : httplib::to_string(reply.error()));
}

}  // namespace mrl::server
