//! Clients of other languages as Debian has them, unmodified, through each node of a cluster.

use quorate_tests::cluster::Cluster;
use std::process::Command;

/// Program and script of each.
const CLIENTS: [(&str, &str); 3] =
    [("node", "workload.js"), ("php", "workload.php"), ("ruby", "workload.rb")];

#[test]
fn clients_work_as_they_come() {
    let cluster = Cluster::start("clients", 3, &[]);
    let scripts = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
    for replica in &cluster.replicas {
        for (program, script) in CLIENTS {
            let done = Command::new(program)
                .arg(scripts.join(script))
                .arg(replica.port.to_string())
                .env("NODE_PATH", "/usr/share/nodejs")
                .output()
                .unwrap_or_else(|why| panic!("{program}: {why}"));
            let said = String::from_utf8_lossy(&done.stdout);
            let complained = String::from_utf8_lossy(&done.stderr);
            assert!(done.status.success() && said == "done\n", "{script}: {said}{complained}");
        }
    }
}
