"""Prints an SPDX 2.3 document (JSON) of the Debian packages that a root holds.

    sbom.py --admin-dir VAR_LIB_DPKG --name NAME [--static "PACKAGE…"]

--static names packages of the machine that this runs on which were compiled into the programs.
SOURCE_DATE_EPOCH, where set, is the time of creation.
"""

import argparse
import datetime
import json
import os
import re
import subprocess
import sys
import uuid

FORMAT = "${db:Status-Abbrev}\t${Package}\t${Version}\t${Architecture}\t${source:Package}\n"


def installed(admin_dir, names=()):
    """Name, version, architecture and source package of each, in order of their names."""
    command = ["dpkg-query", f"--admindir={admin_dir}", "-W", f"-f={FORMAT}", *names]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split("\t") for line in listed.splitlines()]
    return sorted(row[1:] for row in rows if row[0].startswith("ii"))


def package(row, linkage):
    name, version, architecture, source = row
    reference = re.sub(r"[^A-Za-z0-9.-]", "-", f"{linkage}-{name}-{architecture}")
    version_in_url = version.replace(":", "%3A").replace("+", "%2B").replace("~", "%7E")
    return {
        "SPDXID": f"SPDXRef-{reference}",
        "name": name,
        "versionInfo": version,
        "supplier": "NOASSERTION",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "sourceInfo": f"Debian source package {source}",
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator":
                f"pkg:deb/debian/{name}@{version_in_url}?arch={architecture}&distro=debian-12",
        }],
    }  # fmt: skip


def relation(start, kind, end):
    return {"spdxElementId": start, "relationshipType": kind, "relatedSpdxElement": end}


def document(name, root_rows, static_rows, created):
    image = {
        "SPDXID": "SPDXRef-image",
        "name": name,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "primaryPackagePurpose": "CONTAINER",
    }
    inside = [package(row, "deb") for row in root_rows]
    static = [package(row, "static") for row in static_rows]
    relations = [relation("SPDXRef-DOCUMENT", "DESCRIBES", image["SPDXID"])]
    relations += [relation(image["SPDXID"], "CONTAINS", entry["SPDXID"]) for entry in inside]
    relations += [relation(image["SPDXID"], "STATIC_LINK", entry["SPDXID"]) for entry in static]
    # The same packages give the same name.
    identity = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([name, root_rows, static_rows]))
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": f"urn:uuid:{identity}",
        "creationInfo": {"created": created, "creators": ["Tool: mrl-sbom"]},
        "packages": [image, *inside, *static],
        "relationships": relations,
    }


def main():
    parser = argparse.ArgumentParser(description="Print an SPDX document of Debian packages.")
    parser.add_argument("--admin-dir", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--static", default="")
    arguments = parser.parse_args()
    names = arguments.static.split()
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    now = datetime.datetime.now(datetime.UTC)
    time = datetime.datetime.fromtimestamp(int(epoch), datetime.UTC) if epoch else now
    made = document(
        arguments.name, installed(arguments.admin_dir),
        installed("/var/lib/dpkg", names) if names else [], time.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )  # fmt: skip
    json.dump(made, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
