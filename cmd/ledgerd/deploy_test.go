package main

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"
)

const deployFolder = "../../docs/examples/deploy"

// What our manifests use of Kubernetes' objects, by the names that its API has. A field that is not here is a mistake, or is to be
// added; this is no substitute for a server that takes them.
type (
	kubeObject struct {
		APIVersion           string            `yaml:"apiVersion"`
		Kind                 string            `yaml:"kind"`
		Metadata             kubeMeta          `yaml:"metadata"`
		AutomountAccessToken *bool             `yaml:"automountServiceAccountToken"`
		Data                 map[string]string `yaml:"data"`
		Spec                 yaml.Node         `yaml:"spec"`
	}
	kubeMeta struct {
		Name      string            `yaml:"name"`
		Namespace string            `yaml:"namespace"`
		Labels    map[string]string `yaml:"labels"`
	}
	kubeSelector struct {
		MatchLabels map[string]string `yaml:"matchLabels"`
	}
	kubeWorkload struct {
		Replicas    int          `yaml:"replicas"`
		ServiceName string       `yaml:"serviceName"`
		Selector    kubeSelector `yaml:"selector"`
		Strategy    struct {
			Type          string         `yaml:"type"`
			RollingUpdate map[string]int `yaml:"rollingUpdate"`
		} `yaml:"strategy"`
		Template struct {
			Metadata kubeMeta `yaml:"metadata"`
			Spec     kubePod  `yaml:"spec"`
		} `yaml:"template"`
		VolumeClaimTemplates []struct {
			Metadata kubeMeta `yaml:"metadata"`
			Spec     struct {
				AccessModes []string                     `yaml:"accessModes"`
				Resources   map[string]map[string]string `yaml:"resources"`
			} `yaml:"spec"`
		} `yaml:"volumeClaimTemplates"`
	}
	kubePod struct {
		ServiceAccountName            string          `yaml:"serviceAccountName"`
		AutomountServiceAccountToken  bool            `yaml:"automountServiceAccountToken"`
		TerminationGracePeriodSeconds int             `yaml:"terminationGracePeriodSeconds"`
		SecurityContext               kubeSecurity    `yaml:"securityContext"`
		TopologySpreadConstraints     []kubeSpread    `yaml:"topologySpreadConstraints"`
		Containers                    []kubeContainer `yaml:"containers"`
		Volumes                       []kubeVolume    `yaml:"volumes"`
	}
	kubeSpread struct {
		MaxSkew           int          `yaml:"maxSkew"`
		TopologyKey       string       `yaml:"topologyKey"`
		WhenUnsatisfiable string       `yaml:"whenUnsatisfiable"`
		LabelSelector     kubeSelector `yaml:"labelSelector"`
	}
	kubeSecurity struct {
		RunAsNonRoot             bool                `yaml:"runAsNonRoot"`
		RunAsUser                int                 `yaml:"runAsUser"`
		RunAsGroup               int                 `yaml:"runAsGroup"`
		FSGroup                  int                 `yaml:"fsGroup"`
		SeccompProfile           map[string]string   `yaml:"seccompProfile"`
		AllowPrivilegeEscalation *bool               `yaml:"allowPrivilegeEscalation"`
		ReadOnlyRootFilesystem   bool                `yaml:"readOnlyRootFilesystem"`
		Capabilities             map[string][]string `yaml:"capabilities"`
	}
	kubeContainer struct {
		Name            string                       `yaml:"name"`
		Image           string                       `yaml:"image"`
		Command         []string                     `yaml:"command"`
		Args            []string                     `yaml:"args"`
		WorkingDir      string                       `yaml:"workingDir"`
		Ports           []kubePort                   `yaml:"ports"`
		Env             []kubeEnv                    `yaml:"env"`
		StartupProbe    *kubeProbe                   `yaml:"startupProbe"`
		LivenessProbe   *kubeProbe                   `yaml:"livenessProbe"`
		ReadinessProbe  *kubeProbe                   `yaml:"readinessProbe"`
		Resources       map[string]map[string]string `yaml:"resources"`
		SecurityContext kubeSecurity                 `yaml:"securityContext"`
		VolumeMounts    []kubeMount                  `yaml:"volumeMounts"`
	}
	kubeMount struct {
		Name      string `yaml:"name"`
		MountPath string `yaml:"mountPath"`
		ReadOnly  bool   `yaml:"readOnly"`
	}
	kubePort struct {
		Name          string `yaml:"name"`
		ContainerPort int    `yaml:"containerPort"`
	}
	kubeEnv struct {
		Name      string `yaml:"name"`
		ValueFrom struct {
			SecretKeyRef struct {
				Name string `yaml:"name"`
				Key  string `yaml:"key"`
			} `yaml:"secretKeyRef"`
		} `yaml:"valueFrom"`
	}
	kubeProbe struct {
		HTTPGet struct {
			Path   string `yaml:"path"`
			Port   string `yaml:"port"`
			Scheme string `yaml:"scheme"`
		} `yaml:"httpGet"`
		PeriodSeconds    int `yaml:"periodSeconds"`
		TimeoutSeconds   int `yaml:"timeoutSeconds"`
		FailureThreshold int `yaml:"failureThreshold"`
	}
	kubeVolume struct {
		Name      string `yaml:"name"`
		ConfigMap *struct {
			Name string `yaml:"name"`
		} `yaml:"configMap"`
		EmptyDir *struct {
			SizeLimit string `yaml:"sizeLimit"`
		} `yaml:"emptyDir"`
		Secret *struct {
			SecretName  string              `yaml:"secretName"`
			DefaultMode int                 `yaml:"defaultMode"`
			Items       []map[string]string `yaml:"items"`
		} `yaml:"secret"`
	}
	kubeOther struct { // of the small kinds
		Selector       yaml.Node        `yaml:"selector"`
		Ports          []map[string]any `yaml:"ports"`
		MinAvailable   *int             `yaml:"minAvailable"`
		MaxUnavailable *int             `yaml:"maxUnavailable"`
		PodSelector    kubeSelector     `yaml:"podSelector"`
		PolicyTypes    []string         `yaml:"policyTypes"`
		Ingress        []kubeRule       `yaml:"ingress"`
		Egress         []kubeRule       `yaml:"egress"`
		JobLabel       string           `yaml:"jobLabel"`
		Endpoints      []struct {
			Port          string              `yaml:"port"`
			Scheme        string              `yaml:"scheme"`
			Path          string              `yaml:"path"`
			Interval      string              `yaml:"interval"`
			TLSConfig     yaml.Node           `yaml:"tlsConfig"`
			Authorization yaml.Node           `yaml:"authorization"`
			Relabelings   []map[string]string `yaml:"relabelings"`
		} `yaml:"endpoints"`
	}
	kubeRule struct {
		From []kubePeer `yaml:"from"`
		To   []kubePeer `yaml:"to"`
		// Ports hold protocol and port.
		Ports []map[string]any `yaml:"ports"`
	}
	kubePeer struct {
		IPBlock *struct {
			CIDR   string   `yaml:"cidr"`
			Except []string `yaml:"except"`
		} `yaml:"ipBlock"`
		NamespaceSelector *kubeSelector `yaml:"namespaceSelector"`
		PodSelector       *kubeSelector `yaml:"podSelector"`
	}
)

// kinds are the API versions of what we use.
var kinds = map[string]string{
	"ServiceAccount": "v1", "ConfigMap": "v1", "Service": "v1", "Deployment": "apps/v1", "StatefulSet": "apps/v1",
	"PodDisruptionBudget": "policy/v1", "NetworkPolicy": "networking.k8s.io/v1", "ServiceMonitor": "monitoring.coreos.com/v1",
}

// strictly decodes a node and refuses fields that into has not.
func strictly(t *testing.T, node *yaml.Node, into any) {
	t.Helper()
	raw, err := yaml.Marshal(node)
	if err != nil {
		t.Fatal(err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		t.Fatalf("%v in\n%s", err, raw)
	}
}

// manifest reads the objects of a file by kind.
func manifest(t *testing.T, name string) map[string]kubeObject {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(deployFolder, name))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]kubeObject{}
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	for {
		var o kubeObject
		if err := dec.Decode(&o); errors.Is(err, io.EOF) {
			return out
		} else if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if o.Kind == "" {
			continue // the comment before the first one
		}
		if kinds[o.Kind] != o.APIVersion || o.Metadata.Namespace != "sideledger" || out[o.Kind].Kind != "" {
			t.Errorf("%s: %s %s in namespace %s", name, o.APIVersion, o.Kind, o.Metadata.Namespace)
		}
		out[o.Kind] = o
	}
}

// The manifests hold together and to the server: its flags, its configuration, its probes, the files and variables that it is
// told of.
func TestManifests(t *testing.T) {
	h := newHouse(t, false)
	h.serve()
	for name, kind := range map[string]string{"kubernetes-postgres.yaml": "Deployment", "kubernetes-sqlite.yaml": "StatefulSet"} {
		t.Run(name, func(t *testing.T) {
			objects := manifest(t, name)
			node := objects[kind].Spec
			var w kubeWorkload
			strictly(t, &node, &w)
			labels := w.Template.Metadata.Labels
			if w.Selector.MatchLabels["app"] != labels["app"] || labels["app"] == "" {
				t.Errorf("the selector %v does not pick %v", w.Selector, labels)
			}
			if (w.Replicas > 1) != (kind == "Deployment") || len(w.Template.Spec.Containers) != 1 {
				t.Errorf("%d replicas of a %s", w.Replicas, kind)
			}
			pod := w.Template.Spec
			c := pod.Containers[0]
			checkCommand(t, append(c.Command, c.Args...))
			checkProbes(t, h, c)
			checkBounds(t, pod)
			checkConfig(t, objects["ConfigMap"].Data["ledgerd.yaml"], w)
			for _, other := range []string{"Service", "PodDisruptionBudget", "NetworkPolicy"} {
				if o, ok := objects[other]; ok {
					node := o.Spec
					var spec kubeOther
					strictly(t, &node, &spec)
				} else if other != "NetworkPolicy" || kind == "Deployment" {
					t.Errorf("there is no %s", other)
				}
			}
		})
	}
	monitor := manifest(t, "kubernetes-servicemonitor.yaml")["ServiceMonitor"].Spec
	var spec kubeOther
	strictly(t, &monitor, &spec)
	if len(spec.Endpoints) != 1 || !strings.Contains(h.read(spec.Endpoints[0].Path), "sideledger_build_info") {
		t.Errorf("%+v", spec.Endpoints)
	}
}

// checkCommand holds a command line of the server to its subcommands and flags.
func checkCommand(t *testing.T, argv []string) {
	t.Helper()
	root := newRoot(&env{getenv: os.Getenv, stdout: io.Discard, stderr: io.Discard, log: slog.New(slog.DiscardHandler)})
	cmd, rest, err := root.Find(argv[1:])
	if err != nil || cmd == root || filepath.Base(argv[0]) != "ledgerd" {
		t.Fatalf("%v is no command of ours: %v", argv, err)
	}
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	set.AddFlagSet(cmd.Flags())
	if err := set.Parse(rest); err != nil || cobra.NoArgs(cmd, set.Args()) != nil {
		t.Errorf("%v: %v", argv, err)
	}
}

// checkProbes holds probes to paths that answer without a token.
func checkProbes(t *testing.T, h *house, c kubeContainer) {
	t.Helper()
	for want, p := range map[string][]*kubeProbe{"/livez": {c.StartupProbe, c.LivenessProbe}, "/readyz": {c.ReadinessProbe}} {
		for _, probe := range p {
			if probe == nil || probe.HTTPGet.Path != want || probe.HTTPGet.Scheme != "HTTPS" || probe.HTTPGet.Port != c.Ports[0].Name {
				t.Errorf("%+v, want %s", probe, want)
				continue
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.url+want, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := (&http.Client{}).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if _ = resp.Body.Close(); resp.StatusCode != http.StatusOK {
				t.Errorf("%s answered %d", want, resp.StatusCode)
			}
		}
	}
}

// checkBounds holds a pod to what it may not do.
func checkBounds(t *testing.T, pod kubePod) {
	t.Helper()
	s := pod.Containers[0].SecurityContext
	if !pod.SecurityContext.RunAsNonRoot || pod.SecurityContext.SeccompProfile["type"] != "RuntimeDefault" || pod.AutomountServiceAccountToken ||
		s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || !s.ReadOnlyRootFilesystem || !slices.Equal(s.Capabilities["drop"], []string{"ALL"}) {
		t.Errorf("the pod may do more than it has to: %+v %+v", pod.SecurityContext, s)
	}
	if least := int((callGrace + drainTime).Seconds()); pod.TerminationGracePeriodSeconds <= least {
		t.Errorf("it is killed after %d s, and may need %d to stop", pod.TerminationGracePeriodSeconds, least)
	}
}

// checkConfig holds the configuration to what the server reads, and to files and variables that the pod has.
func checkConfig(t *testing.T, text string, w kubeWorkload) {
	t.Helper()
	var c Config
	if err := c.read([]byte(text)); err != nil {
		t.Fatal(err)
	}
	override(&c.Reserve, "", defaultReserve)
	if err := c.validate(); err != nil {
		t.Fatal(err)
	}
	pod := w.Template.Spec.Containers[0]
	has := func(path string) bool {
		return slices.ContainsFunc(pod.VolumeMounts, func(m kubeMount) bool {
			return strings.HasPrefix(path, m.MountPath+"/") || path == m.MountPath
		})
	}
	files := []string{c.TLS.Cert, c.TLS.Key, pod.WorkingDir, c.NoteKey, strings.TrimPrefix(c.Secrets.Key, "file:"), c.sqliteFile()}
	for _, f := range files {
		if f != "" && !has(f) {
			t.Errorf("nothing is mounted at %s", f)
		}
	}
	for name, sys := range c.Systems {
		variable, ok := strings.CutPrefix(sys.Credential, "env:")
		if ok && !slices.ContainsFunc(pod.Env, func(e kubeEnv) bool { return e.Name == variable && e.ValueFrom.SecretKeyRef.Key == variable }) {
			t.Errorf("systems.%s: the pod has no variable %s", name, variable)
		}
	}
	volumes := map[string]bool{}
	for _, v := range w.Template.Spec.Volumes {
		volumes[v.Name] = true
	}
	for _, v := range w.VolumeClaimTemplates {
		volumes[v.Metadata.Name] = true
	}
	for _, m := range pod.VolumeMounts {
		if !volumes[m.Name] {
			t.Errorf("there is no volume %s", m.Name)
		}
	}
}

// The systemd unit names commands that are there, is told when the server is ready, and bounds it.
func TestUnit(t *testing.T) {
	name := filepath.Join(deployFolder, "ledgerd.service")
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	section := ""
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		key, value, found := strings.Cut(line, "=")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			section = line
		case !found || section == "":
			t.Errorf("not a line of a unit: %s", line)
		default:
			got[section+key] = value
		}
	}
	for key, want := range map[string]string{
		"[Service]Type": "notify", "[Service]Restart": "always", "[Service]User": "ledgerd", "[Service]NoNewPrivileges": "yes", "[Service]CapabilityBoundingSet": "",
		"[Service]ProtectSystem": "strict", "[Service]ProtectHome": "yes", "[Service]UMask": "0077", "[Service]StateDirectory": "ledgerd",
		"[Service]WorkingDirectory": "/var/lib/ledgerd", "[Install]WantedBy": "multi-user.target",
	} {
		if value, ok := got[key]; !ok || value != want {
			t.Errorf("%s is %q, want %q", key, value, want)
		}
	}
	checkCommand(t, strings.Fields(got["[Service]ExecStart"]))
	checkCommand(t, strings.Fields(got["[Service]ExecStartPre"]))
	if got["[Service]WatchdogSec"] == "" {
		t.Error("nobody watches it")
	}
	if analyze, err := exec.LookPath("systemd-analyze"); err == nil { // where there is systemd it is asked too
		copied := filepath.Join(t.TempDir(), "ledgerd.service")
		if err := os.WriteFile(copied, bytes.ReplaceAll(raw, []byte("/usr/local/bin/ledgerd"), []byte("/bin/true")), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), analyze, "verify", copied).CombinedOutput(); err != nil || strings.Contains(string(out), copied) {
			t.Errorf("systemd-analyze verify: %v\n%s", err, out)
		}
	}
}
