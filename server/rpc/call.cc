#include "server/rpc/call.h"

#include <algorithm>

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

// As a funnel's text has it: stored precision is not said.
std::string PrefixText(const funnel::StageTrace& stage) {
  return stage.bits == 0 ? absl::StrCat(stage.dims) : absl::StrCat(stage.dims, "b", stage.bits);
}

// A line for each such call would cost an overloaded server what it has least of.
bool IsWantOfRoom(const absl::Status& status) {
  return absl::IsResourceExhausted(status) && !ReasonOf(status).empty();
}

std::string StagesText(const std::vector<funnel::StageTrace>& stages) {
  std::string text;
  for (const funnel::StageTrace& stage : stages) {
    absl::StrAppend(&text, text.empty() ? "" : ";", stage.kind, ":", PrefixText(stage), ":",
                    stage.candidates_in, ">", stage.candidates_out, ":",
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

bool Call::cancelled() const {
  return cancelled_.load(std::memory_order_relaxed) || (here_ && context_.IsCancelled());
}

bool Call::stopped() const { return cancelled() || std::chrono::system_clock::now() >= deadline_; }

absl::Status Call::CheckStopped() const {
  if (std::chrono::system_clock::now() >= deadline_) {
    return absl::DeadlineExceededError("the call's deadline has passed");
  }
  if (cancelled()) {
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
  if (!slow() && desk_.exporter == nullptr) return;
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
  // An operator's call is not held up by what the collection's users do.
  if (method_->role != Role::kAdmin) held_ = desk_.quotas.Of(collection_);
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
    claim.of_owner = {key->requests_per_s, key->burst, key->in_flight_max};
  }
  if (!held_.collection.empty()) {
    claim.quota = held_.collection;
    claim.of_collection = {held_.quota.requests_per_s, held_.quota.burst,
                           held_.quota.in_flight_max};
  }
  return claim;
}

absl::Status Call::Enter(Admission::Task* task) {
  MRL_RETURN_IF_ERROR(CheckEntry());
  // Before it is known, since the task may run to its end inside of Admit.
  admitted_ = true;
  absl::Status status = desk_.admission.Admit(MakeClaim(), task);
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
  return usable ? std::string(given) : RandomHex(16);
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
  if (admitted_) desk_.admission.End(caller_.id(), held_.collection);
  desk_.metrics.Ended(method_, status, elapsed_micros());
  const bool crowded = IsWantOfRoom(status);
  if (crowded) desk_.refusals.Note(ReasonOf(status));
  const bool logged =
      (!status.ok() && !crowded) || slow() || spdlog::should_log(spdlog::level::debug);
  if (!logged && !crowded && desk_.exporter == nullptr) return grpc::Status::OK;
  const std::optional<TraceParent> parent = ParseTraceParent(Metadata("traceparent"));
  WriteTrace(status, parent);
  if (!logged && !crowded) return grpc::Status::OK;
  const std::string request_id = RequestId();
  if (logged) WriteLog(status, request_id, parent ? parent->trace_id : "");
  return ToGrpc(status, request_id);
}

void Call::WriteTrace(const absl::Status& status, const std::optional<TraceParent>& parent) const {
  if (desk_.exporter == nullptr) return;
  if (!(parent ? parent->sampled : Chance(desk_.trace_ratio))) return;
  Span call;
  call.trace_id = parent ? parent->trace_id : RandomHex(32);
  call.span_id = RandomHex(16);
  call.parent_id = parent ? parent->span_id : "";
  call.name = method_ == nullptr ? std::string(name_) : method_->path + 1;
  call.server = true;
  call.end = absl::Now();
  call.begin = call.end - absl::Microseconds(elapsed_micros());
  call.attributes = {{"rpc.system", "grpc"},
                     {"rpc.grpc.status_code", absl::StrCat(status.raw_code())},
                     {"mrl.collection", std::string(collection_.substr(0, Limits::kNameBytes))},
                     {"mrl.plan", plan_}};
  if (!status.ok()) call.error = std::string(status.message().substr(0, kErrorBytesMax));
  std::vector<Span> spans = {call};
  // Stages run one after another; when the first began is known to the length of the planning.
  absl::Time begin = call.begin + absl::Microseconds(queue_micros_);
  for (const funnel::StageTrace& stage : stages_) {
    Span part;
    part.trace_id = call.trace_id;
    part.span_id = RandomHex(16);
    part.parent_id = call.span_id;
    part.name = absl::StrCat(stage.kind, " ", PrefixText(stage));
    part.begin = begin;
    part.end = begin += absl::Microseconds(stage.micros);
    part.attributes = {{"mrl.candidates_in", absl::StrCat(stage.candidates_in)},
                       {"mrl.candidates_out", absl::StrCat(stage.candidates_out)},
                       {"mrl.bytes", absl::StrCat(stage.bytes)}};
    if (stage.left_out > 0) {
      part.attributes.emplace_back("mrl.left_out", absl::StrCat(stage.left_out));
    }
    spans.push_back(std::move(part));
  }
  desk_.exporter->Export(std::move(spans));
}

void Call::WriteLog(const absl::Status& status, const std::string& request_id,
                    const std::string& trace_id) const {
  LogFields fields = {{"method", std::string(name_)},
                      {"code", absl::StatusCodeToString(status.code())},
                      {"request_id", request_id}};
  if (!trace_id.empty()) fields.emplace_back("trace_id", trace_id);
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
