// Program kubernetes_apiserver is the control plane the tests run against, in one binary: etcd,
// kube-apiserver, and the few controllers without which an API server does not behave like a
// cluster. Without the namespace controller a deleted namespace stays Terminating; without the
// service account controller it has no default ServiceAccount; without the resource quota
// controller no quota is enforced; without the aggregation controller the roles admin, edit and
// view are empty.
//
//	kubernetes_apiserver etcd [flags of etcd]
//	kubernetes_apiserver kube-apiserver [flags of kube-apiserver]
//	kubernetes_apiserver controllers KUBECONFIG
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/etcdmain"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/quota/v1/generic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/component-base/cli"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/pkg/controller"
	"k8s.io/kubernetes/pkg/controller/clusterroleaggregation"
	"k8s.io/kubernetes/pkg/controller/namespace"
	"k8s.io/kubernetes/pkg/controller/resourcequota"
	"k8s.io/kubernetes/pkg/controller/serviceaccount"
	quotainstall "k8s.io/kubernetes/pkg/quota/v1/install"
)

const (
	resync  = 12 * time.Hour
	workers = 5
	// How often the quota controller looks for kinds that arrived after it started.
	rediscovery = 10 * time.Second
)

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	role := os.Args[1]
	arguments := os.Args[2:]
	switch role {
	case "etcd":
		etcdmain.Main(append([]string{role}, arguments...))
	case "kube-apiserver":
		command := app.NewAPIServerCommand()
		command.SetArgs(arguments)
		os.Exit(cli.Run(command))
	case "controllers":
		if len(arguments) != 1 {
			usage()
		}
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
		defer stop()
		if err := runControllers(ctx, arguments[0]); err != nil {
			fmt.Fprintln(os.Stderr, "controllers:", err)
			os.Exit(1)
		}
	default:
		usage()
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: kubernetes_apiserver etcd|kube-apiserver FLAGS... | controllers KUBECONFIG")
	os.Exit(2)
}

// runControllers starts every controller and returns when ctx ends.
func runControllers(ctx context.Context, kubeconfig string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	// The usual limits protect a shared server; here they would only make the tests wait.
	config.QPS = 500
	config.Burst = 1000
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	metadataClient, err := metadata.NewForConfig(config)
	if err != nil {
		return err
	}
	shared := informers.NewSharedInformerFactory(client, resync)
	sharedMetadata := metadatainformer.NewSharedInformerFactory(metadataClient, resync)
	informersStarted := make(chan struct{})
	discover := client.Discovery().ServerPreferredNamespacedResources

	namespaces := namespace.NewNamespaceController(
		ctx, client, metadataClient, discover,
		shared.Core().V1().Namespaces(), resync, v1.FinalizerKubernetes,
	)

	serviceAccounts, err := serviceaccount.NewServiceAccountsController(
		klog.FromContext(ctx),
		shared.Core().V1().ServiceAccounts(),
		shared.Core().V1().Namespaces(),
		client,
		serviceaccount.DefaultServiceAccountsControllerOptions(),
	)
	if err != nil {
		return fmt.Errorf("service accounts: %w", err)
	}

	roles := clusterroleaggregation.NewClusterRoleAggregation(
		shared.Rbac().V1().ClusterRoles(), client.RbacV1(),
	)

	quotaConfiguration, err := quotainstall.NewQuotaConfigurationForControllers(
		generic.ListerFuncForResourceFunc(shared.ForResource), shared,
	)
	if err != nil {
		return fmt.Errorf("quota configuration: %w", err)
	}
	quotas, err := resourcequota.NewController(ctx, &resourcequota.ControllerOptions{
		QuotaClient:               client.CoreV1(),
		ResourceQuotaInformer:     shared.Core().V1().ResourceQuotas(),
		ResyncPeriod:              controller.StaticResyncPeriodFunc(5 * time.Minute),
		InformerFactory:           informerfactory.NewInformerFactory(shared, sharedMetadata),
		ReplenishmentResyncPeriod: controller.StaticResyncPeriodFunc(resync),
		DiscoveryFunc:             discover,
		IgnoredResourcesFunc:      quotaConfiguration.IgnoredResources,
		InformersStarted:          informersStarted,
		Registry:                  generic.NewRegistry(quotaConfiguration.Evaluators()),
		UpdateFilter:              quotainstall.DefaultUpdateFilter(),
	})
	if err != nil {
		return fmt.Errorf("quotas: %w", err)
	}

	go namespaces.Run(ctx, workers)
	go serviceAccounts.Run(ctx, workers)
	go roles.Run(ctx, workers)
	go quotas.Run(ctx, workers)
	go quotas.Sync(ctx, discover, rediscovery)

	shared.Start(ctx.Done())
	sharedMetadata.Start(ctx.Done())
	close(informersStarted)
	<-ctx.Done()
	return nil
}
