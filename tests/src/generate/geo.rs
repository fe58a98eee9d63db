//! Places on the earth. Not `STOREDIST`: sines differ in their last bit from one library to the
//! next, and a distance that is stored is all of its bits.

use super::{Family, no_own};

pub(super) const FAMILY: Family = Family {
    name: "geo",
    keys: &["g1", "g2", "z1"],
    templates: &[
        "GEOADD <key> (<lon> <lat> <place>)+",
        "GEOADD <key> (<lon> <lat> <place>)+",
        "GEOADD <key> <lon> <lat> <place> <lon> <lat> <place> <lon> <lat> <place> <lon> <lat> \
         <place>",
        "GEOADD <key> {(NX|XX);CH} (<lon> <lat> <place>)+",
        "GEOADD <key> {NX;XX;CH} <float> <float> <place>",
        "GEOPOS <key> (<place>)+",
        "GEOHASH <key> (<place>)+",
        "GEODIST <key> <place> <place> {<unit>}",
        "GEOSEARCH <key> <centre> BYRADIUS <radius> <unit> {(ASC|DESC);WITHCOORD;WITHDIST;\
         WITHHASH;COUNT <count>}",
        "GEOSEARCH <key> FROMMEMBER <place> BYRADIUS <radius> <unit> {(ASC|DESC);WITHCOORD;\
         WITHDIST;WITHHASH;COUNT <count> (ANY)?}",
        "GEOSEARCH <key> FROMLONLAT <lon> <lat> BYRADIUS <radius> <unit> {(ASC|DESC);WITHCOORD;\
         WITHDIST;WITHHASH;COUNT <count>}",
        "GEOSEARCH <key> FROMLONLAT <lon> <lat> BYBOX <radius> <radius> <unit> {(ASC|DESC);\
         WITHCOORD;WITHDIST;WITHHASH;COUNT <count> (ANY)?}",
        "GEOSEARCH <key> {FROMMEMBER <place>;FROMLONLAT <lon> <lat>;BYBOX <radius> <radius> \
         <unit>;BYRADIUS <radius> <unit>;ANY;COUNT <number>}",
        "GEOSEARCHSTORE <key> <key> FROMLONLAT <lon> <lat> BYRADIUS <radius> <unit> {(ASC|DESC);\
         COUNT <count>}",
        "GEOSEARCHSTORE <key> <key> FROMMEMBER <place> BYBOX <radius> <radius> <unit> {(ASC|DESC);\
         COUNT <count>;WITHDIST}",
        "GEORADIUS <key> <lon> <lat> <radius> <unit> {(ASC|DESC);WITHCOORD;WITHDIST;WITHHASH;\
         COUNT <count>}",
        "GEORADIUS <key> <lon> <lat> <radius> <unit> {(ASC|DESC);COUNT <count>;WITHDIST;STORE \
         <key>}",
        "GEORADIUS <key> <lon> <lat> <radius> <unit> {(ASC|DESC);COUNT <count>;STORE \
         <key>}",
        "GEORADIUSBYMEMBER <key> <place> <radius> <unit> {(ASC|DESC);WITHCOORD;WITHDIST;WITHHASH;\
         COUNT <count>}",
        "GEORADIUSBYMEMBER <key> <place> <radius> <unit> {(ASC|DESC);COUNT <count>;\
         STORE <key>}",
        "GEORADIUS_RO <key> <lon> <lat> <radius> <unit> {(ASC|DESC);WITHDIST;COUNT <count>;STORE \
         <key>}",
        "GEORADIUSBYMEMBER_RO <key> <place> <radius> <unit> {(ASC|DESC);WITHDIST;COUNT <count>}",
        "ZRANGE <key> 0 -1 WITHSCORES",
        "ZREM <key> <place>",
        "DEL <key>",
    ],
    fill: |random, place| {
        let lons = [
            "13.361389",
            "15.087269",
            "2.349014",
            "-0.127758",
            "-73.985656",
            "0",
            "179.9999",
            "-179.9999",
            "180",
            "-180",
            "180.0001",
            "12.4924",
            "12.4925",
            "139.6917",
        ];
        let lats = [
            "38.115556",
            "37.502669",
            "48.864716",
            "51.507351",
            "40.748433",
            "0",
            "85.0511",
            "-85.0511",
            "85.06",
            "41.8902",
            "41.8903",
            "35.6895",
            "-33.8688",
        ];
        let radii = ["0", "1", "10", "100", "500", "1000.5", "5000", "30000", "-1", "x", "1e10"];
        let units = ["m", "km", "mi", "ft", "KM", "km", "km", "parsec"];
        let places = ["Palermo", "Catania", "Paris", "London", "Roma", "Tokyo", "Sydney", "", "x"];
        let from = |random: &mut crate::random::Random, list: &[&str]| {
            Some(random.pick(list).as_bytes().to_vec())
        };
        match place {
            "lon" => from(random, &lons),
            "lat" => from(random, &lats),
            "radius" => from(random, &radii),
            "unit" => from(random, &units),
            "place" => from(random, &places),
            "centre" => from(random, &["FROMMEMBER", "FROMLONLAT"]),
            _ => no_own(random, place),
        }
    },
};
