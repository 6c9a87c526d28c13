// Certificates made on the spot: an authority, and what it signs.
#pragma once

#include <memory>
#include <string>

namespace mrl {

struct CertificateAndKey {
  std::string cert;  // PEM
  std::string key;   // PEM
};

class Authority {
 public:
  Authority();
  ~Authority();
  // PEM of the authority's own certificate.
  const std::string& root() const { return root_; }
  // For 127.0.0.1, both as a server and as a client. `serial` tells one from another;
  // `valid_s` below 0 makes one that has expired.
  CertificateAndKey Issue(long serial, long valid_s = 3600) const;

 private:
  struct Secret;
  std::unique_ptr<Secret> secret_;
  std::string root_;
};

// Serial of the certificate that a TLS server at ADDRESS:PORT shows; -1 when it shows none.
long ServedSerial(const std::string& address);

}  // namespace mrl
