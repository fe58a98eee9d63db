#!/bin/sh
# Makes the seeds anew from a redis-server of its own: small dumps of every type in every encoding,
# and the payloads of single values. The targets put checksums behind them. `snapshots/ours` is not
# made here: it is a snapshot of ours with keys in three databases, deadlines and deletions; nor
# are `payloads/hash-timed-*`, hashes with deadlines of fields, which Redis 7.0 does not have.
set -eu
cd "$(dirname "$0")"
mkdir -p seeds/snapshots seeds/payloads
dir=$(mktemp -d)
redis-server --port 0 --unixsocket "$dir/socket" --dir "$dir" --save '' --loglevel warning >/dev/null &
server=$!
trap 'kill "$server"; wait "$server" || true; rm -rf "$dir"' EXIT
redis() { redis-cli -s "$dir/socket" "$@"; }
until redis PING >/dev/null 2>&1; do :; done

# $1: name. A byte for the size of the pieces, then the dump without its checksum.
snapshot() {
    redis SAVE >/dev/null
    { printf '\007'; head -c -8 "$dir/dump.rdb"; } > "seeds/snapshots/$1"
}
# $1: key, which is the name too. The payload without version and checksum, and redis-cli's newline.
payload() { redis --raw DUMP "$1" | head -c -11 > "seeds/payloads/$1"; }

snapshot empty
for value in 0 -1 127 128 -32768 32768 2147483647 -2147483649 007 '' 3.14; do
    redis SET "int:$value" "$value" >/dev/null
done
redis SET long "$(printf 'abcdefgh%.0s' $(seq 20))" EX 100000 >/dev/null
redis SET binary "$(printf '\001\377\200')" PXAT 4000000000000 >/dev/null
redis -n 15 SET other db >/dev/null
snapshot strings
redis CONFIG SET rdbcompression no >/dev/null
snapshot plain
redis SET int 5 >/dev/null; redis SET embstr text >/dev/null; redis COPY int:32768 word >/dev/null
redis COPY int:2147483647 long-int >/dev/null
for key in int embstr long binary word long-int; do payload "$key"; done
redis CONFIG SET rdbcompression yes >/dev/null
redis COPY long packed >/dev/null; payload packed
redis FLUSHALL >/dev/null
redis CONFIG SET maxmemory-policy allkeys-lfu >/dev/null
redis SET used value EX 100000 >/dev/null
snapshot lfu
redis CONFIG SET maxmemory-policy allkeys-lru >/dev/null
snapshot lru
redis FLUSHALL >/dev/null
redis FUNCTION LOAD '#!lua name=lib
redis.register_function("f", function() return 1 end)' >/dev/null
snapshot functions
redis FUNCTION FLUSH >/dev/null

each() {
    redis RPUSH list a b 1 >/dev/null; redis SADD ints 1 2 3 >/dev/null; redis SADD set a b >/dev/null
    redis HSET hash f v >/dev/null; redis ZADD zset 1.5 m >/dev/null
    redis XADD stream 1-1 f v >/dev/null; redis XGROUP CREATE stream g 0 >/dev/null
    for key in list ints set hash zset stream; do
        payload "$key"
        mv "seeds/payloads/$key" "seeds/payloads/$key-$1"
    done
    redis FLUSHALL >/dev/null
}
each small
for option in list-max-listpack-size set-max-intset-entries hash-max-listpack-entries \
    zset-max-listpack-entries; do
    redis CONFIG SET "$option" 0 >/dev/null 2>&1 || redis CONFIG SET "$option" 1 >/dev/null
done
each large
redis RPUSH list a b >/dev/null
snapshot list

# What Redis 7.0 reads and no longer writes, and what is newer than it. A stream of one entry that
# is pending; types 15, 19 and 21 know ever more of it.
id='\000\000\000\000\000\000\000\001\000\000\000\000\000\000\000\001'
rows='\035\000\000\000\012\000\001\001\000\001\001\001\201f\002\000\001\002\001\000\001\000\001\201v\002\004\001\377'
time='\001\000\000\000\000\000\000\000'
blocks="\001\020$id\035$rows\001\001\001"
facts='\001\001\000\000\001'
stream() { printf "$1$blocks$2\001\001g\001\001$3\001$id$time\001\001\001c$time$4\001$id" > "seeds/payloads/$5"; }
stream '\017' '' '' '' stream-1
stream '\023' "$facts" '\001' '' stream-2
stream '\025' "$facts" '\001' "$time" stream-3
printf '\011\007\001\001f\001\000v\377' > seeds/payloads/hash-zipmap
printf '\024\015\015\000\000\000\002\000\201f\002\201v\002\377' > seeds/payloads/set-listpack

# What `quorate restore` mends: the same files, and one with oddities, under a byte that leaves out
# what has no place here.
mkdir -p seeds/foreign
for name in empty strings lfu functions list; do
    { printf '\207'; tail -c +2 "seeds/snapshots/$name"; } > "seeds/foreign/$name"
done
odd() { printf '\207REDIS0010\376\000'; printf "$1"; printf '\377'; }
odd '\021\001z\021\021\000\000\000\004\000\201a\002\003\001\201b\002\001\001\377' > seeds/foreign/zset-unordered
odd '\013\001i\016\002\000\000\000\003\000\000\000\005\000\001\000\003\000' > seeds/foreign/intset-unordered
odd '\005\001e\000\004\001f\002\001a\001b\001a\001c' > seeds/foreign/empty-and-twice
odd '\022\001l\001\002\015\015\000\000\000\001\000\201a\002\201b\002\377' > seeds/foreign/list-count
odd "\\017\\001s\\001\\020$id\\035$rows\\005\\001\\001\\000" > seeds/foreign/stream-length
{ printf '\207VALKEY080\376\000\026\001h\001\001f\001v'; printf '\377%.0s' 1 2 3 4 5 6 7 8 9; } > seeds/foreign/valkey-hash
odd '\007\001m\201\105\342\122\070\337\221\054\003\002\001\000' > seeds/foreign/module
