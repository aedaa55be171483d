package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"time"

	"github.com/go-logr/zapr"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/utils/clock"

	"github.com/refreshkeys/refreshkeys/internal/tokenserver"
)

// profileExchange writes profiles of the time and the allocations of an exchange, without
// net/http and TLS.
func profileExchange(ctx context.Context, l *lab, dir string) error {
	s, err := openService(ctx, l)
	if err != nil {
		return err
	}
	keys, err := s.exchangedKeys(ctx)
	if err != nil {
		return err
	}
	replica, err := newLocalReplica(s.asService, s.issuerURL, clock.RealClock{})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- replica.Run(ctx) }()
	if err := replica.ready(ctx); err != nil {
		return err
	}
	metrics, err := tokenserver.NewMetrics(prometheus.NewRegistry(), tokenserver.Facts{
		Staleness: replica.Staleness, Ready: replica.Fresh, CertificateSpan: func() (start, end time.Time) { return time.Time{}, time.Time{} }, Verifications: replica.grants.Verifications,
	})
	if err != nil {
		return err
	}
	log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(io.Discard), zap.InfoLevel))
	handler, err := tokenserver.New(tokenserver.Options{
		Issuers: replica, Grants: replica.grants, Clock: clock.RealClock{}, Log: zapr.NewLogger(log), Observe: metrics.Observe,
	})
	if err != nil {
		return err
	}
	began := time.Now()
	err = profileCPU(filepath.Join(dir, "cpu.pprof"), func() error { return serveAll(handler, keys, l.settings.exchanges) })
	if err != nil {
		return err
	}
	fmt.Printf("%.1f µs an exchange\n", time.Since(began).Seconds()*1e6/float64(l.settings.exchanges))
	err = writeHeapProfile(filepath.Join(dir, "alloc.pprof"))
	stop()
	return errors.Join(err, <-ended)
}

func serveAll(handler http.Handler, keys []issuedKey, count int) error {
	for n := range count {
		body := "grant_type=refresh_token&refresh_token=" + keys[n%len(keys)].token
		request := httptest.NewRequest(http.MethodPost, "/token", bytes.NewBufferString(body))
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		answer := httptest.NewRecorder()
		if handler.ServeHTTP(answer, request); answer.Code != http.StatusOK {
			return fmt.Errorf("answered %d: %s", answer.Code, answer.Body)
		}
	}
	return nil
}
