//! The provisioning server double: speaks Warewulf's protocol to the letter, and misbehaves on request.
