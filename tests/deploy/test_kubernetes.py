"""The plain manifests, and the chart that they are made from."""

import json
import re

import helm_python as helm
import pytest
import yaml
from conftest import BUILD, DEPLOY, checked

CHART = DEPLOY / "helm" / "mrl"
PLAIN = DEPLOY / "kubernetes"
HELM_LABELS = ("helm.sh/chart", "app.kubernetes.io/managed-by")
EVERYTHING = {
    "replicaCount": 3,
    "image": {"digest": "sha256:" + "a" * 64},
    "indexes": {"wordnet": "/indexes/wordnet"},
    "indexVolume": {"existingClaim": "built"},
    "persistence": {"enabled": True, "independentReplicas": True, "storageClass": "fast"},
    "config": {"workers": 4},
    "security": {"apiKeysSecret": "keys", "tlsSecret": "tls", "clientCertificates": True},
    "extraEnv": [{"name": "MRL_LOG_LEVEL", "value": "debug"}],
    "networkPolicy": {"grpcFrom": [{"podSelector": {"matchLabels": {"app": "web"}}}],
                      "egress": [{"ports": [{"port": 4318}]}]},
    "serviceMonitor": {"enabled": True},
    "nodeSelector": {"disk": "ssd"},
}  # fmt: skip


def by_kind(documents):
    found = {}
    for document in documents:
        found.setdefault(document["kind"], []).append(document)
    return found


@pytest.fixture(scope="module")
def plain():
    files = (PLAIN / "mrl.yaml", PLAIN / "servicemonitor.yaml")
    return by_kind(d for file in files for d in yaml.safe_load_all(file.read_text()))


def rendered(values):
    with helm.Chart.load(CHART) as chart:
        chart.validate_schema(values)
        texts = chart.render(values, name="mrl", namespace="default")
    return [
        document
        for name, text in sorted(texts.items())
        if name.endswith(".yaml")
        for document in yaml.safe_load_all(text)
        if document
    ]


def pod(kinds):
    return kinds["StatefulSet"][0]["spec"]["template"]


def test_manifests_have_one_of_each_kind(plain):
    assert {kind: len(documents) for kind, documents in plain.items()} == {
        "ConfigMap": 1, "NetworkPolicy": 1, "PodDisruptionBudget": 1, "Service": 2,
        "ServiceAccount": 1, "StatefulSet": 1, "ServiceMonitor": 1}  # fmt: skip


def test_selectors_match_the_pods(plain):
    labels = pod(plain)["metadata"]["labels"]
    selectors = [
        plain["StatefulSet"][0]["spec"]["selector"]["matchLabels"],
        plain["PodDisruptionBudget"][0]["spec"]["selector"]["matchLabels"],
        plain["NetworkPolicy"][0]["spec"]["podSelector"]["matchLabels"],
        *(service["spec"]["selector"] for service in plain["Service"]),
    ]
    for selector in selectors:
        assert selector and selector.items() <= labels.items()
    monitor = plain["ServiceMonitor"][0]["spec"]["selector"]["matchLabels"]
    matched = [s for s in plain["Service"] if monitor.items() <= s["metadata"]["labels"].items()]
    assert [service["metadata"]["name"] for service in matched] == ["mrl"]


def test_service_name_of_the_stateful_set_is_a_headless_service(plain):
    name = plain["StatefulSet"][0]["spec"]["serviceName"]
    service = next(s for s in plain["Service"] if s["metadata"]["name"] == name)
    assert service["spec"]["clusterIP"] == "None"


def test_pod_meets_the_restricted_standard(plain):
    spec = pod(plain)["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 10001
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    for container in spec["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]}}  # fmt: skip
        assert "memory" in container["resources"]["limits"]


def test_probes_ask_grpc_health_and_whether_the_process_lives(plain):
    container = pod(plain)["spec"]["containers"][0]
    for probe in ("startupProbe", "readinessProbe"):
        assert container[probe]["grpc"] == {"port": 7600}
    assert container["livenessProbe"]["httpGet"] == {"port": "http", "path": "/livez"}


def test_volumes_and_mounts_agree(plain):
    spec = pod(plain)["spec"]
    volumes = {volume["name"] for volume in spec["volumes"]}
    assert {mount["name"] for mount in spec["containers"][0]["volumeMounts"]} == volumes


def test_policy_lets_nothing_out(plain):
    spec = plain["NetworkPolicy"][0]["spec"]
    assert set(spec["policyTypes"]) == {"Ingress", "Egress"}
    assert spec["egress"] == []


def test_user_is_that_of_the_image(plain):
    dockerfile = (DEPLOY / "docker" / "Dockerfile").read_text()
    user = re.search(r"^USER (\d+):(\d+)$", dockerfile, re.MULTILINE)
    context = pod(plain)["spec"]["securityContext"]
    assert (int(user[1]), int(user[2])) == (context["runAsUser"], context["runAsGroup"])


def test_chart_has_the_version_of_the_programs():
    project = (DEPLOY.parent / "CMakeLists.txt").read_text()
    version = re.search(r"project\(mrl VERSION (\S+)", project)[1]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (version, version)


def test_schema_knows_every_value():
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(values) == set(schema) - {"global"}
    for name, value in values.items():
        known = schema[name].get("properties")
        if isinstance(value, dict) and value and known:
            assert set(value) == set(known), name


def test_chart_passes_lint():
    found = helm.lint(CHART)
    assert found["errors"] == []
    assert [m["error"] for m in found["messages"] if "icon" not in m["error"]] == []


def test_manifests_are_what_the_chart_makes(plain):
    values = yaml.safe_load((PLAIN / "values.yaml").read_text())
    made = rendered(values | {"serviceMonitor": {"enabled": True}})
    for document in made:
        for label in HELM_LABELS:
            document["metadata"]["labels"].pop(label)
    assert by_kind(made) == plain


def test_chart_follows_its_values():
    kinds = by_kind(rendered(EVERYTHING))
    stateful = kinds["StatefulSet"][0]["spec"]
    container = stateful["template"]["spec"]["containers"][0]
    assert stateful["replicas"] == 3
    assert stateful["volumeClaimTemplates"][0]["spec"]["storageClassName"] == "fast"
    assert container["image"] == "mrl@sha256:" + "a" * 64
    assert container["readinessProbe"]["httpGet"] == {"port": "http", "path": "/readyz"}
    assert container["livenessProbe"]["httpGet"] == {"port": "http", "path": "/livez"}
    assert {"name": "indexes", "mountPath": "/indexes", "readOnly": True} in container["volumeMounts"]
    config = yaml.safe_load(kinds["ConfigMap"][0]["data"]["mrl-server.yaml"])
    assert config == {
        "workers": 4, "index": {"wordnet": "/indexes/wordnet"}, "data-dir": "/var/lib/mrl/data",
        "api-keys": "/run/secrets/mrl-keys/api-keys.yaml",
        "tls-cert": "/run/secrets/mrl-tls/tls.crt", "tls-key": "/run/secrets/mrl-tls/tls.key",
        "tls-client-ca": "/run/secrets/mrl-tls/ca.crt"}  # fmt: skip
    volumes = {volume["name"]: volume for volume in stateful["template"]["spec"]["volumes"]}
    assert volumes["keys"]["secret"]["secretName"] == "keys"
    assert volumes["tls"]["secret"]["secretName"] == "tls"
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == set(volumes) | {"data"}
    assert kinds["NetworkPolicy"][0]["spec"]["egress"] == [{"ports": [{"port": 4318}]}]


def test_chart_asks_who_may_call():
    with pytest.raises(helm.HelmError, match="security.insecure=true"):
        rendered({})
    kinds = by_kind(rendered({"security": {"apiKeysSecret": "keys"}}))
    container = kinds["StatefulSet"][0]["spec"]["template"]["spec"]["containers"][0]
    assert {"name": "MRL_INSECURE_BIND", "value": "false"} in container["env"]
    assert "grpc" in container["readinessProbe"]


def test_persistence_is_where_the_server_writes():
    kinds = by_kind(rendered({"security": {"insecure": True}, "persistence": {"enabled": True}}))
    data = yaml.safe_load(kinds["ConfigMap"][0]["data"]["mrl-server.yaml"])["data-dir"]
    stateful = kinds["StatefulSet"][0]["spec"]
    claim = stateful["volumeClaimTemplates"][0]["metadata"]["name"]
    mounts = stateful["template"]["spec"]["containers"][0]["volumeMounts"]
    at = next(mount["mountPath"] for mount in mounts if mount["name"] == claim)
    assert data.startswith(at + "/")
    without = by_kind(rendered({"security": {"insecure": True}}))
    assert "data-dir" not in without["ConfigMap"][0]["data"]["mrl-server.yaml"]
    assert "volumeClaimTemplates" not in without["StatefulSet"][0]["spec"]


def test_chart_asks_whether_replicas_may_differ():
    values = {"security": {"insecure": True}, "replicaCount": 2}
    with pytest.raises(helm.HelmError, match="persistence.independentReplicas=true"):
        rendered(values | {"persistence": {"enabled": True}})
    meant = {"enabled": True, "independentReplicas": True}
    kinds = by_kind(rendered(values | {"persistence": meant}))
    assert kinds["StatefulSet"][0]["spec"]["replicas"] == 2
    assert by_kind(rendered(values))["StatefulSet"][0]["spec"]["replicas"] == 2


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"config": {"grpc-port": 1}}, "/config/grpc-port"),
        ({"config": {"data-dir": "/data"}}, "/config/data-dir"),
        ({"config": {"http-bind": "127.0.0.1"}}, "/config/http-bind"),
        ({"image": {"repository": "mrl", "digest": "abc"}}, "/image/digest"),
        ({"replicas": 3}, "replicas"),
    ],
)
def test_chart_refuses_wrong_values(values, words):
    with helm.Chart.load(CHART) as chart, pytest.raises(helm.HelmValuesError, match=words):
        chart.validate_schema(values)


@pytest.fixture(scope="module")
def gpu_values():
    return yaml.safe_load((CHART / "values-gpu.yaml").read_text())


def test_gpu_values_ask_for_one_device(gpu_values):
    # An extended resource is asked for by its limit; a request would have to be the same.
    assert gpu_values["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert "nvidia.com/gpu" not in gpu_values["resources"]["requests"]
    assert gpu_values["config"] == {"gpu": "require"}


def test_gpu_values_are_values_of_the_chart(gpu_values):
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(gpu_values) <= set(values)
    known = checked(BUILD / "bin/mrl-server", "--print-config", env={})
    for key, value in gpu_values["config"].items():
        assert re.search(rf"^{key}: ", known, re.MULTILINE), key
        checked(BUILD / "bin/mrl-server", f"--{key}", value, "--print-config", env={})


def test_gpu_pod_has_its_device(gpu_values):
    kinds = by_kind(rendered(gpu_values | {"security": {"insecure": True}}))
    limits = pod(kinds)["spec"]["containers"][0]["resources"]["limits"]
    assert limits["nvidia.com/gpu"] == 1
    assert "gpu: require" in kinds["ConfigMap"][0]["data"]["mrl-server.yaml"]
