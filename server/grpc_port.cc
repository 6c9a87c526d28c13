#include "server/grpc_port.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/server_builder_option.h>
#include <pthread.h>
#include <sched.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/http/address.h"
#include "server/limits.h"

namespace mrl::server {
namespace {

// Linking gRPC's reflection turns it on for every server of the process; this decides for one.
class Reflection final : public grpc::ServerBuilderOption {
 public:
  explicit Reflection(bool wanted) : wanted_(wanted) {}
  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
    auto reflection = std::make_unique<grpc::reflection::ProtoServerReflectionPlugin>();
    const auto is_reflection = [&reflection](const auto& plugin) {
      return plugin->name() == reflection->name();
    };
    std::erase_if(*plugins, is_reflection);
    if (wanted_) plugins->push_back(std::move(reflection));
  }

 private:
  const bool wanted_;
};

bool ReflectionWanted(const Config& config) {
  return config.reflection == "on" || (config.reflection == "auto" && config.api_keys.empty());
}

std::shared_ptr<grpc::ServerCredentials> MakeCredentials(const Config& config, TlsKeeper* tls) {
  if (tls != nullptr) return MakeTlsCredentials(*tls);
  if (!config.api_keys.empty() && !IsLoopback(config.bind)) {
    spdlog::warn("keys are sent in clear to {}: set tls-cert and tls-key", config.bind);
  }
  return grpc::InsecureServerCredentials();
}

constexpr int kSecondMs = 1000;
constexpr int kMinuteMs = 60 * kSecondMs;

void SetLimits(const Config& config, grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(static_cast<int>(Limits::kRequestBytes));
  builder->SetResourceQuota(
      grpc::ResourceQuota("mrl").Resize(static_cast<size_t>(config.grpc_memory_bytes)));
  const std::pair<const char*, int> arguments[] = {
      {GRPC_ARG_MAX_METADATA_SIZE, static_cast<int>(Limits::kMetadataBytes)},
      {GRPC_ARG_MAX_CONCURRENT_STREAMS, static_cast<int>(config.streams_max)},
      // A peer that is gone is noticed; one that pings all the time is sent away.
      {GRPC_ARG_KEEPALIVE_TIME_MS, kMinuteMs},
      {GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20 * kSecondMs},
      {GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1},
      {GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10 * kSecondMs},
      {GRPC_ARG_HTTP2_MAX_PING_STRIKES, 2},
      // Connections end now and then, so that a balancer can move clients to new servers. Calls
      // that run have an hour, which no BatchSearch needs.
      {GRPC_ARG_MAX_CONNECTION_AGE_MS, config.grpc_connection_age_ms},
      {GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, 60 * kMinuteMs},
      {GRPC_ARG_MAX_CONNECTION_IDLE_MS, config.grpc_connection_idle_ms},
      {GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 10 * kSecondMs},
  };
  for (const auto& [name, value] : arguments) builder->AddChannelArgument(name, value);
}

// Threads that are started while this lives do not push a thread that runs off its core when they
// are woken: they wait for a core that idles, or for their turn. So calls that come while all cores
// search are taken in several at a time, and those that are refused cost the others less
// (docs/adr/0027).
class PatientThreads final {
 public:
  PatientThreads() {
    const bool known = pthread_getschedparam(pthread_self(), &policy_, &parameters_) == 0;
    // Whoever chose another policy for the process knows better.
    if (!known || policy_ != SCHED_OTHER) return;
    const int error = pthread_setschedparam(pthread_self(), SCHED_BATCH, &parameters_);
    changed_ = error == 0;
    if (changed_) return;
    spdlog::warn("sched_setscheduler: {}: calls that arrive push searches off their cores",
                 std::generic_category().message(error));
  }
  ~PatientThreads() {
    if (changed_) pthread_setschedparam(pthread_self(), policy_, &parameters_);
  }
  PatientThreads(const PatientThreads&) = delete;
  PatientThreads& operator=(const PatientThreads&) = delete;

 private:
  int policy_ = SCHED_OTHER;
  sched_param parameters_ = {};
  bool changed_ = false;
};

}  // namespace

size_t CallbackThreads() {
  return std::clamp<size_t>(std::thread::hardware_concurrency() / 2, 2, 16);
}

absl::StatusOr<GrpcPort> OpenGrpcPort(const Config& config, TlsKeeper* tls,
                                      const std::vector<grpc::Service*>& services) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  // With SO_REUSEPORT two servers would share a port without a word.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  SetLimits(config, &builder);
  builder.SetOption(std::make_unique<Reflection>(ReflectionWanted(config)));
  for (grpc::Service* service : services) builder.RegisterService(service);
  int port = 0;
  const std::string wanted = JoinAddress(config.bind, config.grpc_port);
  builder.AddListeningPort(wanted, MakeCredentials(config, tls), &port);
  GrpcPort opened;
  {
    const PatientThreads patient;
    opened.server = builder.BuildAndStart();
  }
  if (opened.server == nullptr || port == 0) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", wanted));
  }
  opened.address = JoinAddress(config.bind, port);
  return opened;
}

}  // namespace mrl::server
