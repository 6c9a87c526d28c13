#include "server/rpc/call.h"

#include <algorithm>
#include <random>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "server/limits.h"
#include "server/log.h"
#include "server/rpc/reason.h"

namespace mrl::server {
namespace {

// The names of other collections that a message lists begin with this.
constexpr absl::string_view kListOfNames = "; served: ";
constexpr size_t kRequestIdBytesMax = 64;
constexpr size_t kErrorBytesMax = 2000;

std::string FreshId() {
  thread_local std::mt19937_64 random{std::random_device{}()};
  return absl::StrCat(absl::Hex(random(), absl::kZeroPad16));
}

std::string StagesText(const std::vector<funnel::StageTrace>& stages) {
  std::string text;
  for (const funnel::StageTrace& stage : stages) {
    absl::StrAppend(&text, text.empty() ? "" : ";", stage.kind, ":", stage.dims, "b", stage.bits,
                    ":", stage.candidates_in, ">", stage.candidates_out, ":",
                    static_cast<int64_t>(stage.micros), "us");
  }
  return text;
}

}  // namespace

Call::Call(Desk& desk, absl::string_view method, const grpc::CallbackServerContext& context,
           absl::string_view collection)
    : desk_(desk),
      name_(method),
      method_(FindMethod(method)),
      context_(context),
      collection_(collection),
      arrival_(std::chrono::steady_clock::now()),
      deadline_(context.deadline()) {
  desk_.metrics.Started(method_);
}

Call::~Call() = default;

bool Call::stopped() const {
  return cancelled_.load(std::memory_order_relaxed) ||
         std::chrono::system_clock::now() >= deadline_;
}

absl::Status Call::CheckStopped() const {
  if (std::chrono::system_clock::now() >= deadline_) {
    return absl::DeadlineExceededError("the call's deadline has passed");
  }
  if (cancelled_.load(std::memory_order_relaxed)) {
    return absl::CancelledError("the caller cancelled the call");
  }
  return absl::OkStatus();
}

double Call::elapsed_micros() const {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - arrival_)
      .count();
}

bool Call::slow() const { return absl::Microseconds(elapsed_micros()) >= desk_.slow_query; }

void Call::Report(const funnel::Trace& trace, const funnel::Plan& plan) {
  desk_.metrics.Searched(trace);
  if (!slow()) return;
  double micros = 0;
  for (const funnel::StageTrace& stage : trace.stages) micros += stage.micros;
  if (!stages_.empty() && micros <= search_micros_) return;
  search_micros_ = micros;
  stages_ = trace.stages;
  plan_ = plan.ToText();
}

absl::string_view Call::Metadata(const char* name) const {
  const auto& metadata = context_.client_metadata();
  const auto found = metadata.find(name);
  if (found == metadata.end()) return "";
  return {found->second.data(), found->second.size()};
}

absl::Status Call::CheckEntry() {
  MRL_RETURN_IF_ERROR(desk_.readiness.CheckOpen());
  if (collection_.size() > Limits::kNameBytes) {
    return absl::InvalidArgumentError(absl::StrCat("the collection's name has ", collection_.size(),
                                                   " bytes; the limit is ", Limits::kNameBytes));
  }
  const absl::string_view authorization =
      desk_.gate.needs_key() ? Metadata("authorization") : absl::string_view();
  MRL_ASSIGN_OR_RETURN(caller_, desk_.gate.Check(method_, authorization, collection_));
  return absl::OkStatus();
}

Admission::Claim Call::MakeClaim() const {
  Admission::Claim claim;
  claim.owner = caller_.id();
  claim.collection = collection_;
  if (deadline_ != std::chrono::system_clock::time_point::max()) {
    claim.deadline = absl::FromChrono(deadline_);
  }
  if (const Key* key = caller_.key(); key != nullptr) {
    claim.requests_per_s = key->requests_per_s;
    claim.burst = key->burst;
    claim.in_flight_max = key->in_flight_max;
  }
  return claim;
}

absl::Status Call::Enter(Admission::Task* task) {
  MRL_RETURN_IF_ERROR(CheckEntry());
  // Before it is known, since the task may run to its end inside of Admit.
  admitted_ = true;
  const absl::Status status = desk_.admission.Admit(MakeClaim(), task);
  if (!status.ok()) admitted_ = false;
  return status;
}

absl::Status Call::Resume(Admission::Task* task) {
  return desk_.admission.Resume(MakeClaim(), task);
}

void Call::LeaveQueue() {
  queue_micros_ = elapsed_micros();
  desk_.metrics.LeftQueue(queue_micros_);
}

std::string Call::RequestId() const {
  const absl::string_view given = Metadata("x-request-id");
  const bool usable = !given.empty() && given.size() <= kRequestIdBytesMax &&
                      std::all_of(given.begin(), given.end(), [](char c) {
                        return absl::ascii_isgraph(static_cast<unsigned char>(c));
                      });
  return usable ? std::string(given) : FreshId();
}

// Who may see some collections only is not told the names of the others.
absl::Status Call::ForCaller(absl::Status status) const {
  if (caller_.key() == nullptr || caller_.key()->collections.empty()) return status;
  if (!absl::IsNotFound(status)) return status;
  const absl::string_view message = status.message();
  const size_t list = message.find(kListOfNames);
  if (list == absl::string_view::npos) return status;
  return absl::NotFoundError(message.substr(0, list));
}

grpc::Status Call::End(absl::Status status) {
  // The engine knows only that it was stopped; which of the two it was is known here.
  if (absl::IsCancelled(status)) {
    if (absl::Status cause = CheckStopped(); !cause.ok()) status = std::move(cause);
  }
  if (absl::IsNotFound(status)) status = ForCaller(std::move(status));
  if (admitted_) desk_.admission.End(caller_.id());
  desk_.metrics.Ended(method_, status, elapsed_micros());
  if (status.ok() && !slow() && !spdlog::should_log(spdlog::level::debug)) return grpc::Status::OK;
  const std::string request_id = RequestId();
  WriteLog(status, request_id);
  return ToGrpc(status, request_id);
}

void Call::WriteLog(const absl::Status& status, const std::string& request_id) const {
  LogFields fields = {{"method", std::string(name_)},
                      {"code", absl::StatusCodeToString(status.code())},
                      {"request_id", request_id}};
  if (!collection_.empty()) {
    fields.emplace_back("collection", std::string(collection_.substr(0, Limits::kNameBytes)));
  }
  if (!caller_.id().empty()) fields.emplace_back("key", std::string(caller_.id()));
  fields.emplace_back("queue_us", absl::StrCat(static_cast<int64_t>(queue_micros_)));
  fields.emplace_back("total_us", absl::StrCat(static_cast<int64_t>(elapsed_micros())));
  if (!status.ok()) {
    fields.emplace_back("error", std::string(status.message().substr(0, kErrorBytesMax)));
  }
  if (!stages_.empty()) {
    fields.emplace_back("plan", plan_);
    fields.emplace_back("stages", StagesText(stages_));
  }
  if (slow()) {
    Log(spdlog::level::warn, "slow call", fields);
  } else {
    Log(status.ok() ? spdlog::level::debug : spdlog::level::info, "call", fields);
  }
}

}  // namespace mrl::server
