package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

// adminServer is the port for operators: /healthz, /readyz, /metrics and /debug/pprof.
type adminServer struct {
	net.Listener
	server   *http.Server
	registry *prometheus.Registry
	troubles []func() string // what a process does without, "" if there is nothing; set before serve
}

func newAdminServer(l net.Listener) *adminServer {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	a := &adminServer{Listener: l, registry: registry}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", a.ready)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	a.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	return a
}

// ready says that calls are taken, and what is amiss all the same.
func (a *adminServer) ready(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, "ok")
	for _, trouble := range a.troubles {
		if said := trouble(); said != "" {
			fmt.Fprintln(w, said)
		}
	}
}

// meter makes instruments that /metrics shows.
func (a *adminServer) meter() (metric.Meter, error) {
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(a.registry), otelprometheus.WithoutScopeInfo())
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter)).Meter("github.com/angzarr/angzarr-kafka"), nil
}

func (a *adminServer) serve() error {
	if err := a.server.Serve(a.Listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin: %w", err)
	}
	return nil
}

func (a *adminServer) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	a.server.Shutdown(ctx)
	a.Listener.Close()
}
