package e2e

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"vulcan.lan/vulcan_exporter/internal/testenv"
)

// brittleRedis is a Redis with little memory and few clients.
type brittleRedis struct {
	*testenv.Redis
	t      *testing.T
	client *redis.Client
}

func newBrittleRedis(t *testing.T) *brittleRedis {
	t.Helper()
	r := testenv.StartRedis(t, "--maxmemory", "10mb", "--maxclients", "10")
	client := redis.NewClient(&redis.Options{Network: "unix", Addr: r.Socket, PoolSize: 1})
	t.Cleanup(func() { _ = client.Close() })
	return &brittleRedis{r, t, client}
}

// do runs a command.
func (r *brittleRedis) do(args ...any) {
	r.t.Helper()
	if err := r.client.Do(r.t.Context(), args...).Err(); err != nil {
		r.t.Fatalf("%v: %v", args, err)
	}
}

// fill writes until the server answers with the error, 200 times at most.
func (r *brittleRedis) fill(want string) {
	r.t.Helper()
	for i := range 200 {
		err := r.client.Set(r.t.Context(), fmt.Sprint(i), make([]byte, 100_000), 0).Err()
		if err != nil && !strings.HasPrefix(err.Error(), want) {
			r.t.Fatal(err)
		}
		if err != nil {
			return
		}
	}
	r.t.Fatalf("no write was answered with %s", want)
}

// crowd connects until one is turned away.
func (r *brittleRedis) crowd() {
	r.t.Helper()
	for range 11 {
		conn, err := net.Dial("unix", r.Socket)
		if err != nil {
			r.t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_, _ = fmt.Fprint(conn, "PING\r\n") // one that was turned away may be closed already
		answer, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil {
			r.t.Fatal(err)
		}
		if strings.Contains(answer, "max number of clients") {
			return
		}
	}
	r.t.Fatal("no connection was turned away")
}

// folder sets the permissions of the folder that the server dumps to.
func (r *brittleRedis) folder(mode os.FileMode) {
	r.t.Helper()
	if err := os.Chmod(r.Dir, mode); err != nil {
		r.t.Fatal(err)
	}
}

// TestRedisFaults: a folder that cannot be written to, then the writes that are refused for it;
// no memory left; more clients than it admits.
func TestRedisFaults(t *testing.T) {
	t.Parallel()
	r := newBrittleRedis(t)
	t.Cleanup(func() { r.folder(0o700) })
	h := New(t, Options{
		Config: fmt.Sprintf("redis:\n  interval: 1s\n  timeout: 1s\n  sources: [{name: cache, address: %q}]\n", r.Socket),
		Rules:  []string{"redis_alerts", "exporter"},
		Scale:  150, // the window of 10 minutes is 4 s
	})
	h.waitValue(`redis_up{job="vulcan_exporter"}`, 1)
	refused := func(with string) Alert {
		return Alert{"RedisRefusesWrites", map[string]string{"source": "cache", "err": with}}
	}
	unsaved := Alert{"RedisPersistenceFailed", map[string]string{"source": "cache"}}
	h.oneAfterTheOther(nil,
		fault{cause: r.crowd, alerts: []Alert{{"RedisRejectsConnections", map[string]string{"source": "cache"}}}},
		fault{
			cause: func() {
				r.fill("OOM")
				r.do("FLUSHALL") // before that lasts: then RedisHighMemory would be told too
			},
			alerts: []Alert{refused("OOM")},
		},
		fault{
			cause: func() {
				r.folder(0o500)
				r.do("BGSAVE")
				h.WaitFiring(unsaved.Name, unsaved.Labels)
				h.ExactlyFiring(unsaved)
				r.do("CONFIG", "SET", "save", "3600 1") // with dumps by the clock writes are refused too
				r.fill("MISCONF")
			},
			mend: func() {
				r.folder(0o700)
				r.do("BGSAVE")
			},
			alerts: []Alert{unsaved, refused("MISCONF")},
		},
	)
}
