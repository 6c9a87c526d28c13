// Calls below the stubs: any path, any bytes, any metadata.
#pragma once

#include <grpcpp/grpcpp.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace google::protobuf {
class MethodDescriptor;
}

namespace mrl {

struct RawReply {
  grpc::Status status;
  std::vector<std::string> messages;  // as they came
};

// A connection that sends what no limit of the client's cuts off.
std::shared_ptr<grpc::Channel> UnlimitedChannel(const std::string& address,
                                                grpc::ChannelArguments arguments = {});
// One request message in, all that comes back out.
RawReply RawCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& path,
                 const std::string& request,
                 const std::multimap<std::string, std::string>& metadata = {},
                 std::chrono::milliseconds timeout = std::chrono::seconds(30));

// Every method that proto/mrl/v1 declares, and those of google.longrunning.Operations that are
// offered. A file that the server does not link in fails the test.
std::vector<const google::protobuf::MethodDescriptor*> DeclaredMethods();
std::string PathOf(const google::protobuf::MethodDescriptor& method);
// An otherwise empty request that names `collection`, where the method's request names one.
std::string RequestNaming(const google::protobuf::MethodDescriptor& method,
                          const std::string& collection);

}  // namespace mrl
