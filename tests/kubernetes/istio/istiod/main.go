// Istio's control plane in one process, on loopback, with its objects from files.
//
// It is istiod's own code (xDS server, service registry, controllers of Gateway API and of WasmPlugin)
// over client-go's in-memory Kubernetes: there is no API server, no admission, and no CA.
//
//	istiod -mesh MESH.yaml -kubernetes OBJECTS.yaml FOLDER
//
// FOLDER has Istio's manifests. On SIGHUP it is read again: what is new, changed or gone there becomes so.
package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/test/xds"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/security"
	"istio.io/istio/pkg/test"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:15010", "address for xDS without TLS")
	meshFile := flag.String("mesh", "", "MeshConfig, as the chart has it in the ConfigMap istio")
	objects := flag.String("kubernetes", "", "Services, EndpointSlices, Secrets, and objects of Gateway API")
	identity := flag.String("identity", "spiffe://cluster.local/ns/istio-ingress/sa/istio-ingress", "who asks")
	flag.Parse()
	if flag.NArg() != 1 {
		fail(fmt.Errorf("usage: istiod [flags] FOLDER"))
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)

	meshConfig, err := mesh.ReadMeshConfig(*meshFile)
	fail(err)
	manifests := read(flag.Arg(0))
	fail(test.Wrap(func(t test.Failer) {
		server := xds.NewFakeDiscoveryServer(t, xds.FakeOptions{
			ListenerBuilder: func() (net.Listener, error) { return net.Listen("tcp", *listen) },
			// No Kubernetes says who may read which Secret.
			DisableSecretAuthorization: true,
			// Changes of the same moment are joined, as istiod does by default.
			DebounceTime:           100 * time.Millisecond,
			MeshConfig:             meshConfig,
			KubernetesObjectString: text(*objects),
			Configs:                manifests,
		})
		// Whoever asks is taken for the gateway: there is no TLS here by which it could prove to be it.
		// (It takes XDS_AUTH_PLAINTEXT=true in the environment besides.)
		server.Discovery.Authenticators = []security.Authenticator{everybody(*identity)}
		fmt.Println("xDS at", server.Listener.Addr())
		for one := range signals {
			if one != syscall.SIGHUP {
				os.Exit(0)
			}
			wanted := read(flag.Arg(0))
			apply(server.Store(), manifests, wanted)
			manifests = wanted
			fmt.Println("manifests read again")
		}
	}))
}

// apply makes the store's content what is wanted, where it was what had been read before.
func apply(store model.ConfigStore, before, wanted []config.Config) {
	gone := map[string]config.Config{}
	for _, one := range before {
		gone[key(one)] = one
	}
	for _, one := range wanted {
		var err error
		if _, known := gone[key(one)]; known {
			_, err = store.Update(one)
		} else {
			_, err = store.Create(one)
		}
		fail(err)
		delete(gone, key(one))
	}
	for _, one := range gone {
		fail(store.Delete(one.GroupVersionKind, one.Name, one.Namespace, nil))
	}
}

func key(one config.Config) string {
	return fmt.Sprint(one.GroupVersionKind, one.NamespacedName())
}

// read parses and validates all manifests of a folder, as istiod's webhook does.
func read(folder string) []config.Config {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	fail(err)
	var texts []string
	for _, file := range files {
		texts = append(texts, text(file))
	}
	found, others, err := crd.ParseInputs(strings.Join(texts, "\n---\n"))
	fail(err)
	if len(others) > 0 {
		fail(fmt.Errorf("no kind of Istio: %s %s", others[0].Kind, others[0].Name))
	}
	return found
}

type everybody string

func (who everybody) Authenticate(security.AuthContext) (*security.Caller, error) {
	return &security.Caller{AuthSource: security.AuthSourceClientCertificate, Identities: []string{string(who)}}, nil
}

func (everybody) AuthenticatorType() string { return "everybody" }

func text(file string) string {
	content, err := os.ReadFile(file)
	fail(err)
	return string(content)
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "istiod:", err)
		os.Exit(1)
	}
}
